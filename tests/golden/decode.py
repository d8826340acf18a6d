#!/usr/bin/env python3
"""Decodes the golden files by the rules of protocol/docs/wire.md alone.

The types are read from the document's `wire` blocks; the primitives, BLAKE3 and Ed25519 are written here from
their own descriptions. Fails where a byte, a hash, a signature or a value differs, and where a variant of the
document has no golden bytes. Needs Python 3.8 and nothing else.
"""

import hashlib
import ipaddress
import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "protocol" / "docs" / "wire.md"


class Refused(Exception):
    """Bytes that the document does not permit."""


# --- The types, as the document's blocks give them ---


def read_types(document):
    """Name to ("alias", type), ("struct", [(field, type)]) or ("enum", [(variant, payload)])."""
    types, current = {}, None
    for block in re.findall(r"```wire\n(.*?)```", document, re.S):
        for line in block.splitlines():
            line = line.split("#")[0].strip()
            if not line:
                continue
            if match := re.fullmatch(r"alias (\w+) = (.+)", line):
                define(types, match[1], ("alias", parse_type(match[2])))
            elif match := re.fullmatch(r"(struct|enum) (\w+)", line):
                current = []
                define(types, match[2], (match[1], current))
            elif match := re.fullmatch(r"(\d+) (\w+)(?: (.+))?", line):
                if int(match[1]) != len(current):
                    raise SystemExit(f"wire.md: index {match[1]} out of order: {line}")
                current.append((match[2], parse_payload(match[3])))
            elif match := re.fullmatch(r"(\w+): (.+)", line):
                current.append((match[1], parse_type(match[2])))
            else:
                raise SystemExit(f"wire.md: cannot read {line!r}")
    return types


def define(types, name, definition):
    if name in types:
        raise SystemExit(f"wire.md: {name} is defined twice")
    types[name] = definition


def parse_payload(text):
    if text is None:
        return None
    if text.startswith("{"):
        fields = split_outside(text.strip("{} "))
        return ("fields", [(name.strip(), parse_type(kind)) for name, kind in (f.split(":", 1) for f in fields)])
    return parse_type(text)


def parse_type(text):
    text = text.strip()
    if match := re.fullmatch(r"bytes\[(\d+)\]", text):
        return ("bytes", int(match[1]))
    if match := re.fullmatch(r"text<(\d+)>", text):
        return ("text", int(match[1]))
    if match := re.fullmatch(r"option<(.+)>", text):
        return ("option", parse_type(match[1]))
    if match := re.fullmatch(r"list<(.+), (\d+)>", text):
        return ("list", parse_type(match[1]), int(match[2]))
    if text.startswith("("):
        return ("tuple", [parse_type(part) for part in split_outside(text[1:-1])])
    return ("name", text)


def split_outside(text):
    """Splits at commas that stand in no bracket."""
    parts, depth = [""], 0
    for c in text:
        depth += (c in "<([{") - (c in ">)]}")
        if c == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return parts


# --- Values ---


class Reader:
    def __init__(self, types, data, seen):
        self.types, self.data, self.at, self.seen = types, data, 0, seen

    def whole(self, kind):
        value = self.value(kind)
        if self.at != len(self.data):
            raise Refused(f"{len(self.data) - self.at} bytes after the end")
        return value

    def take(self, count):
        if self.at + count > len(self.data):
            raise Refused("truncated")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self, length_max, last_max):
        value = 0
        for place in range(length_max):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if place == length_max - 1 and byte > last_max:
                    break
                return value
        raise Refused("varint too long")

    def flag(self):
        byte = self.take(1)[0]
        if byte > 1:
            raise Refused(f"{byte} is neither 0 nor 1")
        return byte == 1

    def count(self, count_max):
        count = self.varint(10, 1)
        if count > count_max:
            raise Refused(f"{count} where {count_max} are allowed")
        return count

    def value(self, kind):
        shape = kind[0]
        if shape == "bytes":
            return list(self.take(kind[1]))
        if shape == "text":
            return self.take(self.count(kind[1])).decode("utf-8", "strict")
        if shape == "option":
            return self.value(kind[1]) if self.flag() else None
        if shape == "list":
            return [self.value(kind[1]) for _ in range(self.count(kind[2]))]
        if shape == "tuple":
            return [self.value(part) for part in kind[1]]
        if shape == "fields":
            return {name: self.value(field) for name, field in kind[1]}
        return self.named(kind[1])

    def named(self, name):
        if name == "u8":
            return self.take(1)[0]
        if name == "bool":
            return self.flag()
        if name in VARINTS:
            value = self.varint(*VARINTS[name])
            return (value >> 1) ^ -(value & 1) if name[0] == "i" else value
        shape, inner = self.types[name]
        if shape == "alias":
            return self.value(inner)
        if shape == "struct":
            return {field: self.value(kind) for field, kind in inner}
        index = self.varint(5, 0x0F)
        if index >= len(inner):
            raise Refused(f"{name} has no variant {index}")
        self.seen.add((name, index))
        variant, payload = inner[index]
        if payload is None:
            return variant
        value = self.value(payload)
        return address(value) if name == "SocketAddr" else {variant: value}


VARINTS = {"u16": (3, 3), "u32": (5, 15), "u64": (10, 1), "i32": (5, 15), "i64": (10, 1)}


def address(value):
    """A socket address as the golden files write it."""
    ip = ipaddress.ip_address(bytes(value["ip"]))
    return f"{ip}:{value['port']}" if ip.version == 4 else f"[{ip}]:{value['port']}"


def compact(value):
    """Bytes as hexadecimal digits, as the golden files write them: lists of 16 numbers or more."""
    if isinstance(value, dict):
        return {name: compact(inner) for name, inner in value.items()}
    if isinstance(value, list):
        numbers = all(isinstance(item, int) and not isinstance(item, bool) for item in value)
        return bytes(value).hex() if numbers and len(value) >= 16 else [compact(item) for item in value]
    return value


# --- BLAKE3 (the paper, section 2), for inputs of one chunk ---

IV = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
ORDER = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
CHUNK_START, CHUNK_END, ROOT, KEYED_HASH, CONTEXT, MATERIAL = 1, 2, 8, 16, 32, 64


def blake3(data, key, flags):
    assert len(data) <= 1024, "the golden files hash one chunk at most"
    blocks = [data[at : at + 64] for at in range(0, max(len(data), 1), 64)]
    chain = key
    for at, block in enumerate(blocks):
        last = at == len(blocks) - 1
        marks = flags | (CHUNK_START if at == 0 else 0) | (CHUNK_END | ROOT if last else 0)
        chain = compress(chain, words(block.ljust(64, b"\0")), len(block), marks)
    return b"".join(word.to_bytes(4, "little") for word in chain)


def words(data):
    return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


def compress(chain, block, length, flags):
    v = chain + IV[:4] + [0, 0, length, flags]

    def rotate(word, bits):
        return (word >> bits | word << (32 - bits)) & 0xFFFFFFFF

    def mix(a, b, c, d, x, y):
        for word, turn, back in ((x, 16, 12), (y, 8, 7)):
            v[a] = (v[a] + v[b] + word) & 0xFFFFFFFF
            v[d] = rotate(v[d] ^ v[a], turn)
            v[c] = (v[c] + v[d]) & 0xFFFFFFFF
            v[b] = rotate(v[b] ^ v[c], back)

    for _ in range(7):
        for at in range(4):
            mix(at, at + 4, at + 8, at + 12, block[2 * at], block[2 * at + 1])
        for at in range(4):
            mix(at, (at + 1) % 4 + 4, (at + 2) % 4 + 8, (at + 3) % 4 + 12, block[2 * at + 8], block[2 * at + 9])
        block = [block[place] for place in ORDER]
    return [v[at] ^ v[at + 8] for at in range(8)]


def digest(context, data):
    return blake3(data, words(blake3(context.encode(), IV, CONTEXT)), MATERIAL)


# --- Ed25519 (RFC 8032, section 6) ---

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
BASE_Y = 4 * pow(5, P - 2, P) % P


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P:
        raise Refused("no point of the curve")
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(scalar, p):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add(total, p)
        p, scalar = add(p, p), scalar >> 1
    return total


def verify(key, signature, context, data):
    message = digest(context, data)
    scalar = int.from_bytes(signature[32:], "little")
    hashed = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    left = times(scalar, point(BASE_Y.to_bytes(32, "little")))
    right = add(point(signature[:32]), times(hashed, point(key)))
    same = not (left[0] * right[2] - right[0] * left[2]) % P and not (left[1] * right[2] - right[1] * left[2]) % P
    check(scalar < L and same, f"a signature of {key.hex()} does not verify")


# --- What a type demands beyond its bytes ---

LOG_ENTRY = "jamsync 2026 device log entry v1"
CONSENT = "jamsync 2026 device consent v1"
GRANT = "jamsync 2026 grant v1"
CODE_CHECK = "jamsync 2026 code check v1"
LINK_PROOF = "jamsync 2026 friend link proof v1"
CODE_PROOF = "jamsync 2026 device code proof v1"
VOUCH = "jamsync 2026 contact vouch v1"
DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"


def check(holds, message):
    if not holds:
        raise Refused(message)


def check_log(types, log, seen):
    account, head, active, recovery, gone = None, bytes(32), [], [], []
    for signed in log:
        author, action, said = check_entry(types, signed, seen)
        device = bytes(said["key" if action == "AddRecovery" else "device"])
        check(signed_entry(types, signed, seen)["previous"] == list(head), "an entry does not follow the one before")
        check((action == "Found") == (account is None), "only the first entry founds")
        check(author == device if account is None else author in active + recovery, "the author is not active")
        if action in ("Add", "AddRecovery"):
            check(device not in active + recovery + gone, "a key is added twice")
            verify(device, bytes(said["consent"]), CONSENT, account + head)
        if action == "Revoke":
            check(device in active + recovery and active != [device], "nothing to revoke")
            active, recovery = ([key for key in keys if key != device] for keys in (active, recovery))
            gone.append(device)
        else:
            (recovery if action == "AddRecovery" else active).append(device)
        head = digest(LOG_ENTRY, bytes(signed["bytes"]))
        account = account or head
    return account


def signed_entry(types, signed, seen):
    return Reader(types, bytes(signed["bytes"]), seen).whole(("name", "LogEntry"))


def check_entry(types, signed, seen):
    """An entry by itself: whom it is by, what it does, and that its author signed it."""
    entry = signed_entry(types, signed, seen)
    author, ((action, said),) = bytes(entry["author"]), entry["action"].items()
    verify(author, bytes(signed["signature"]), LOG_ENTRY, bytes(signed["bytes"]))
    return author, action, said


def check_inside(types, value, seen):
    """Logs and grants wherever they stand; an account that stands beside its log must be the log's."""
    if isinstance(value, list):
        for item in value:
            check_inside(types, item, seen)
    elif isinstance(value, dict):
        if "log" in value:
            account = check_log(types, value["log"], seen)
            check(bytes(value.get("account", account)) == account, "the account is not the log's")
        # A beat has a proof of another kind, made from the one before.
        if "proof" in value and "count" not in value:
            key = words(digest(LINK_PROOF, LINK_SECRET))
            check(bytes(value["proof"]) == blake3(CREATOR + ACCEPTER, key, KEYED_HASH), "the proof does not hold")
        if "code_proof" in value:
            key = words(digest(CODE_PROOF, CODE_SECRET))
            proof = blake3(ACCOUNT + bytes(value.get("device", DEVICE)), key, KEYED_HASH)
            check(bytes(value["code_proof"]) == proof, "the proof of the device code does not hold")
        if "pin" in value:
            check_vouch(value)
        checked = {"log", "Log"}
        if isinstance(value.get("entry"), dict) and "signature" in value["entry"]:
            check_entry(types, value["entry"], seen)
            checked.add("entry")
        if "bytes" in value and "signature" in value:
            check_grant(types, value, seen)
        for name, item in value.items():
            if name not in checked:
                check_inside(types, item, seen)
        if "Log" in value:
            check_log(types, value["Log"], seen)


def check_vouch(vouch):
    name, pin = vouch["name"].encode(), vouch["pin"]
    check(len(name) < 128 and pin["length"] < 128, "the golden vouch has lengths of one byte")
    lengths = bytes([len(name)]), bytes([pin["length"]])
    data = ACCOUNT + lengths[0] + name + bytes(pin["account"]) + lengths[1] + bytes(pin["head"])
    verify(bytes(vouch["by"]), bytes(vouch["signature"]), VOUCH, data)


def check_grant(types, signed, seen):
    data = bytes(signed["bytes"])
    Reader(types, data, seen).whole(("name", "Grant"))
    verify(COORDINATOR, bytes(signed["signature"]), GRANT, data)


# The coordinator that signs in the golden files: the public key of the seed of 32 bytes 09.
COORDINATOR = bytes.fromhex("fd1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618")
# The friend link whose acceptance is proved in them: its secret, and the accounts of creator and accepter.
LINK_SECRET, CREATOR, ACCEPTER = b"\x08" * 16, b"\x01" * 32, b"\x02" * 32
# The account that the first device founds in them, its device code's secret, and the device that asks with it.
ACCOUNT = bytes.fromhex("84cf9365c053676a33381e6cb9a2e7c3518da27567fae425e35b30801c5769ca")
CODE_SECRET, DEVICE = b"\x0c" * 16, bytes.fromhex("8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394")


def decode_code(prefix, text):
    check(text.startswith(prefix), f"no {prefix}")
    held = "".join(f"{DIGITS.index(digit):05b}" for digit in text[len(prefix) :])
    data = int(held[: len(held) // 8 * 8], 2).to_bytes(len(held) // 8, "big")
    check(set(held[len(held) // 8 * 8 :]) <= {"0"}, "the filling bits are not zero")
    check(data[-4:] == digest(CODE_CHECK, prefix.encode() + data[:-4])[:4], "the check digits do not match")
    return data[:-4]


PREFIXES = {
    "JoinCodeBytes": "jamsync-join:",
    "FriendLinkBytes": "jamsync:",
    "DeviceCodeBytes": "jamsync-device:",
    "RecoveryCodeBytes": "jamsync-recovery:",
}


def decode_line(types, kind, coded, seen):
    if kind in PREFIXES:
        value = Reader(types, decode_code(PREFIXES[kind], coded), seen).whole(("name", kind))
        return compact(value["V1"])
    value = Reader(types, bytes.fromhex(coded), seen).whole(("name", kind))
    if kind == "DeviceLog":
        check_log(types, value, seen)
    else:
        check_inside(types, value, seen)
    return compact(value)


def main():
    document = DOCUMENT.read_text("utf-8")
    types = read_types(document)
    contexts = [LOG_ENTRY, CONSENT, GRANT, CODE_CHECK, LINK_PROOF, CODE_PROOF, VOUCH]
    problems = [f"wire.md has no context `{context}`" for context in contexts if f"`{context}`" not in document]
    seen, values = set(), 0
    for path in sorted(HERE.glob("*.txt")):
        header, *lines = path.read_text("utf-8").splitlines()
        kind = re.match(r"# (\w+):", header)[1]
        for line in lines:
            name, coded, expected = line.split("\t")
            try:
                actual = decode_line(types, kind, coded, seen)
            except (Refused, UnicodeDecodeError, KeyError, ValueError) as error:
                problems.append(f"{path.name}, {name}: {type(error).__name__}: {error}")
                continue
            if actual != json.loads(expected):
                problems.append(f"{path.name}, {name}: decoded {json.dumps(actual)}, expected {expected}")
            values += 1
    for name, (shape, variants) in types.items():
        if shape == "enum":
            missing = [v for index, (v, _) in enumerate(variants) if (name, index) not in seen]
            problems += [f"{name}::{variant} has no golden bytes" for variant in missing]
    if problems or not values:
        print("\n".join(problems) or "no golden files")
        return 1
    print(f"{values} golden values decoded by wire.md alone, {len(seen)} variants of {len(types)} types seen")
    return 0


if __name__ == "__main__":
    sys.exit(main())

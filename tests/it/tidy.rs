//! House rules that no linter holds: sizes of files, edges between packages, the wire document in step with
//! the wire types, and nothing of one machine in the project.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What a package may depend on, among the packages of this workspace.
const EDGES: [(&str, &[&str]); 5] = [
    ("protocol", &[]),
    ("node", &["jamsync-protocol"]),
    ("coordinator", &["jamsync-protocol"]),
    ("examples", &["jamsync-protocol", "jamsync-node", "jamsync-coordinator"]),
    ("tests", &["jamsync-protocol", "jamsync-node", "jamsync-coordinator", "jamsync-examples"]),
];

/// What an embedder of the protocol takes in with it; a new one needs a reason.
const PROTOCOL_CRATES: [&str; 6] = ["blake3", "ed25519-dalek", "libm", "postcard", "serde", "thiserror"];

/// The most lines of a file, its tests included.
const LINES_MAX: usize = 700;

/// What a program that embeds the protocol may take to show it.
const EMBEDDING_LINES: usize = 200;

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests stand in the workspace").to_owned()
}

/// Every text file of the project, with its path from the root.
fn files() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project can be read") {
            let path = entry.expect("an entry can be read").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if !matches!(name.as_str(), "target" | ".git") {
                    folders.push(path);
                }
            } else if let Ok(text) = fs::read_to_string(&path) {
                found.insert(path.strip_prefix(root()).expect("below the root").to_owned(), text);
            }
        }
    }
    found
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "rs")
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<String> = files()
        .iter()
        .filter(|(path, text)| is_rust(path) && text.lines().count() > LINES_MAX)
        .map(|(path, text)| format!("{}: {} lines", path.display(), text.lines().count()))
        .collect();
    assert!(long.is_empty(), "more than {LINES_MAX} lines: {long:#?}");
}

#[test]
fn every_rust_file_says_what_it_is() {
    let silent: Vec<PathBuf> = files()
        .into_iter()
        .filter(|(path, text)| is_rust(path) && !text.starts_with("//!"))
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "no module document at the top: {silent:#?}");
}

/// Every crate that a Rust file takes something from.
fn crates_used(text: &str) -> Vec<&str> {
    let uses = text.lines().filter_map(|line| line.strip_prefix("use "));
    let names = uses.filter_map(|path| path.split([':', ' ', ';']).next());
    names.filter(|name| !matches!(*name, "crate" | "self" | "super")).collect()
}

#[test]
fn programs_that_embed_the_protocol_are_short_and_need_what_they_say() {
    let files = files();
    for (name, crates) in [
        ("examples/src/bin/embed_udp.rs", &["std", "jamsync_examples", "jamsync_protocol"][..]),
        ("examples/src/bin/embed_tokio.rs", &["std", "jamsync_examples", "jamsync_protocol", "tokio"]),
        ("examples/src/toy.rs", &["std", "jamsync_protocol"]),
    ] {
        let text = &files[Path::new(name)];
        let others: Vec<&str> = crates_used(text).into_iter().filter(|used| !crates.contains(used)).collect();
        assert!(others.is_empty(), "{name} needs {others:?}");
        let rest = text
            .lines()
            .filter(|line| line.contains("jamsync_examples") && !line.contains("::toy::"))
            .count();
        assert_eq!(rest, 0, "{name} takes more than the toy player from the examples");
        assert!(
            text.lines().count() < EMBEDDING_LINES || name.ends_with("toy.rs"),
            "{name} is too long to be an example"
        );
    }
}

/// The names of the dependencies in a table of a package's manifest.
fn dependencies(package: &str, table: &str) -> Vec<String> {
    let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = manifest.parse().expect("valid TOML");
    let table = manifest.get(table).and_then(toml::Value::as_table);
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

#[test]
fn packages_depend_one_way() {
    for (package, allowed) in EDGES {
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for name in dependencies(package, table).iter().filter(|name| name.starts_with("jamsync")) {
                assert!(allowed.contains(&name.as_str()), "{package} may not depend on {name}");
            }
        }
    }
}

#[test]
fn the_protocol_takes_in_only_what_is_agreed() {
    for name in dependencies("protocol", "dependencies") {
        assert!(PROTOCOL_CRATES.contains(&name.as_str()), "the protocol may not depend on {name}");
    }
}

#[test]
fn nothing_else_stands_at_the_top() {
    let expected = [
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "coordinator",
        "examples",
        "node",
        "protocol",
        "target",
        "tests",
    ];
    for entry in fs::read_dir(root()).expect("the root can be read") {
        let name = entry.expect("an entry can be read").file_name().to_string_lossy().into_owned();
        assert!(name.starts_with('.') || expected.contains(&name.as_str()), "{name} stands at the top level");
    }
}

#[test]
fn nothing_of_one_machine_is_in_the_project() {
    // Put together here, so that this file does not hold them.
    let words = [["/wo", "rk/"], ["/ro", "ot/"], ["/ho", "me/"]].map(|parts| parts.concat());
    for (path, text) in files() {
        if path.file_name().is_some_and(|name| name == ".git") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            let found = words.iter().find(|word| line.contains(word.as_str()));
            assert!(found.is_none(), "{}:{}: {line}", path.display(), number + 1);
        }
    }
}

/// The serialised enums of a source file with their variants, by reading its lines: attributes, the opening
/// line, and the lines indented once.
fn wire_enums(text: &str) -> Vec<(String, Vec<String>)> {
    let mut enums: Vec<(String, Vec<String>)> = Vec::new();
    let (mut serialised, mut inside) = (false, false);
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("pub enum ") {
            if serialised {
                enums.push((name_of(rest), Vec::new()));
            }
            inside = serialised && !line.ends_with("{}");
        } else if line == "}" {
            inside = false;
        } else if inside
            && let Some(rest) = line.strip_prefix("    ")
            && rest.starts_with(|first: char| first.is_ascii_uppercase())
            && let Some((_, variants)) = enums.last_mut()
        {
            variants.push(name_of(rest));
        }
        if line.starts_with("#[derive(") {
            serialised = line.contains("Serialize");
        } else if !line.starts_with("#[") && !line.starts_with("///") {
            serialised = false;
        }
    }
    enums
}

fn name_of(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn wire_enums_are_read_from_source() {
    let text = "/// A.\n#[derive(Clone, Serialize)]\n#[non_exhaustive]\npub enum Frame {\n    /// B.\n    Hello(Hello),\n    Bye {\n        Why: u8,\n    },\n}\n#[derive(Debug)]\npub enum Other {\n    X,\n}\n";
    assert_eq!(wire_enums(text), [("Frame".to_owned(), vec!["Hello".to_owned(), "Bye".to_owned()])]);
}

/// The serialised enums of the protocol's source.
pub(crate) fn all_wire_enums() -> Vec<(String, Vec<String>)> {
    let files = files();
    let sources = files.iter().filter(|(path, _)| path.starts_with("protocol/src") && is_rust(path));
    sources.flat_map(|(_, text)| wire_enums(text)).collect()
}

/// The enums in the wire document's blocks with their variants, in the order of their indices.
fn document_enums(document: &str) -> Vec<(String, Vec<String>)> {
    let mut enums: Vec<(String, Vec<String>)> = Vec::new();
    for block in document.split("```wire\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for line in block.lines() {
            if let Some(rest) = line.strip_prefix("enum ") {
                enums.push((name_of(rest), Vec::new()));
            } else if let Some((index, rest)) = line.split_once(' ')
                && let Ok(index) = index.parse::<usize>()
                && let Some((name, variants)) = enums.last_mut()
            {
                assert_eq!(index, variants.len(), "{name} in protocol/docs/wire.md: {line}");
                variants.push(name_of(rest));
            }
        }
    }
    enums
}

#[test]
fn the_wire_document_numbers_every_variant_as_the_code_does() {
    let path = root().join("protocol/docs/wire.md");
    let documented = document_enums(&fs::read_to_string(path).expect("the wire document can be read"));
    let missing: Vec<(String, Vec<String>)> = all_wire_enums()
        .into_iter()
        .filter(|(_, variants)| !documented.iter().any(|(_, known)| known == variants))
        .collect();
    assert!(
        missing.is_empty(),
        "not in protocol/docs/wire.md with these variants in this order: {missing:#?}"
    );
}

# What the scripts share: the tools and packages they need, and processes that end with them.
# Sourced by bash, never run by itself. It changes nothing outside the clone but Debian packages that are
# missing, and those only as root, with passwordless sudo, or after a yes on the terminal.
# shellcheck shell=bash

# What a build needs, and what the tests need beside it; read by the scripts that source this one.
# shellcheck disable=SC2034
BUILD_PACKAGES=(gcc libc6-dev libasound2-dev pkg-config)
# shellcheck disable=SC2034
TEST_PACKAGES=(pulseaudio pulseaudio-utils libasound2-plugins flac lame vorbis-tools)

STATUS_MISSING=3

say() { printf '%s\n' "$*"; }

# Ends with one sentence and the status that means: something is missing on this machine.
missing() {
  printf '%s\n' "$@" >&2
  exit "$STATUS_MISSING"
}

# The tools that cannot be installed as packages of the build.
need_tools() {
  local tool
  for tool in git curl; do
    command -v "$tool" >/dev/null || missing "$tool is missing. On Debian: apt-get install $tool"
  done
  if ! command -v cargo >/dev/null && [[ -r ${CARGO_HOME:-$HOME/.cargo}/env ]]; then
    # shellcheck disable=SC1091
    . "${CARGO_HOME:-$HOME/.cargo}/env"
  fi
  local wanted found
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  command -v cargo >/dev/null ||
    missing "Rust is missing; version $wanted or newer is needed. Install it as https://rustup.rs says."
  found=$(rustc --version | cut -d' ' -f2)
  if [[ $(printf '%s\n%s\n' "$wanted" "${found%%-*}" | sort -V | head -n1) != "$wanted" ]]; then
    missing "Rust $found is too old; version $wanted or newer is needed. With rustup: rustup update stable"
  fi
}

# Debian packages, installed where that is possible without a password.
need_packages() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    need_without_apt
    return
  fi
  local package lacking=()
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || lacking+=("$package")
  done
  ((${#lacking[@]})) || return 0
  local command="apt-get install --yes --no-install-recommends ${lacking[*]}" answer
  say "These Debian packages are needed and missing: ${lacking[*]}"
  if [[ $(id -u) == 0 ]]; then
    install_packages env "${lacking[@]}"
  elif sudo -n true 2>/dev/null; then
    install_packages sudo "${lacking[@]}"
  elif [[ -t 0 ]] && read -r -p "Install them now with sudo? [y/N] " answer && [[ $answer == [yY]* ]]; then
    install_packages sudo "${lacking[@]}"
  else
    missing "Install them, then try again: sudo $command"
  fi
}

# Installs with what apt knows, and only if that fails asks it to look for news.
install_packages() {
  local as=$1
  shift
  local install=("$as" apt-get install --yes --no-install-recommends "$@")
  export DEBIAN_FRONTEND=noninteractive
  "${install[@]}" >/dev/null 2>&1 && return
  if ! "$as" apt-get update >/dev/null || ! "${install[@]}" >/dev/null; then
    missing "The packages could not be installed. Try it by hand: ${install[*]}"
  fi
}

# Where there is no apt: say what a build lacks, by what it would look for.
need_without_apt() {
  local lacking=()
  command -v cc >/dev/null || lacking+=("a C compiler (cc)")
  command -v pkg-config >/dev/null || lacking+=("pkg-config")
  if [[ $(uname) == Linux ]] && ! pkg-config --exists alsa 2>/dev/null; then
    lacking+=("the ALSA development files (alsa.pc)")
  fi
  ((${#lacking[@]} == 0)) || missing "Missing on this system: $(IFS=,; say "${lacking[*]}" | sed 's/,/, /g')."
}

# Fetches what Cargo.lock names once; from then on nothing is looked for on the network.
need_crates() {
  if ! cargo fetch --locked --offline >/dev/null 2>&1; then
    say "Fetching the Rust packages that Cargo.lock names."
    cargo fetch --locked --quiet || missing "They could not be fetched. This needs the network once."
  fi
  export CARGO_NET_OFFLINE=true
}

# Starts a command in a process group of its own, which ends when this script is interrupted; STARTED is its number.
RUNNING=()
start() {
  set -m
  "$@" &
  STARTED=$!
  set +m
  RUNNING[STARTED]=$STARTED
}

# Waits for a process group that `start` started; the status is that of its command.
finish() {
  local status=0
  wait "$1" || status=$?
  unset "RUNNING[$1]"
  return "$status"
}

run() {
  start "$@"
  finish "$STARTED"
}

end_running() {
  local group
  for group in "${RUNNING[@]}"; do
    kill -TERM -- "-$group" 2>/dev/null || true
  done
  for group in "${RUNNING[@]}"; do
    end_group "$group"
  done
  RUNNING=()
}

end_group() {
  local group=$1 waited
  for waited in {1..50}; do
    kill -0 -- "-$group" 2>/dev/null || return 0
    sleep 0.1
  done
  say "Process group $group did not end within $((waited / 10)) s; killing it." >&2
  kill -KILL -- "-$group" 2>/dev/null || true
}
trap end_running EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# How much room the build takes.
disk_used() {
  say "Disk: $(du -sh target 2>/dev/null | cut -f1) under target/ (delete it at any time)," \
    "and downloads in ${CARGO_HOME:-~/.cargo}."
}

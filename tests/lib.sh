# What the scripts share: the tools and packages they need, and processes that end with them.
# Sourced by bash from the top of the clone, never run by itself. It changes nothing outside the clone but Debian packages
# that are missing: those only as root, with passwordless sudo, or after a yes on the terminal. It never removes one.
# shellcheck shell=bash

# What a build needs, what the tests need beside it, and what one check alone needs, which is skipped without them; read by
# the scripts that source this one.
# shellcheck disable=SC2034
BUILD_PACKAGES=(gcc libc6-dev libasound2-dev pkg-config)
# shellcheck disable=SC2034
TEST_PACKAGES=(flac lame vorbis-tools)
# shellcheck disable=SC2034
SOUND_PACKAGES=(pulseaudio pulseaudio-utils libasound2-plugins)

STATUS_MISSING=3

# Wherever cargo is told to build otherwise: the scripts look for what they built below the clone.
export CARGO_TARGET_DIR=$PWD/target

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

# Debian packages that nothing goes on without, installed where that is possible without a password.
need_packages() {
  if ! has_apt; then
    need_without_apt
    return
  fi
  find_lacking "$@"
  ((${#LACKING[@]})) || return 0
  say "These Debian packages are needed and missing: ${LACKING[*]}"
  may_install || missing "Install them, then try again: sudo apt-get install --no-install-recommends ${LACKING[*]}"
  install_packages "${LACKING[@]}" || missing "$WHY" \
    "The packages could not be installed. Try it by hand, as root: apt-get install ${LACKING[*]}"
}

# The sound server that one check plays through, installed where nothing has to go for it. Status 1 where it is not to be had,
# and then why, in WITHOUT_SOUND.
wish_sound() {
  local tool
  WITHOUT_SOUND=
  if has_apt; then
    find_lacking "${SOUND_PACKAGES[@]}"
    ((${#LACKING[@]})) || return 0
    if is_installed pipewire-pulse; then
      # Debian installs one beside the other in some cases, and then both want to be this desktop's sound.
      WITHOUT_SOUND="it needs ${LACKING[*]}, and this machine's sound is PipeWire's, which stays as it is"
      return 1
    fi
    say "One check needs Debian packages that are missing: ${LACKING[*]}"
    if ! may_install; then
      WITHOUT_SOUND="it needs ${LACKING[*]}: sudo apt-get install ${LACKING[*]}"
    elif ! install_packages "${LACKING[@]}"; then
      WITHOUT_SOUND="it needs ${LACKING[*]}, which could not be installed with nothing removed for it: ${WHY##*$'\n'}"
    fi
  else
    for tool in pulseaudio pactl parecord; do
      command -v "$tool" >/dev/null || WITHOUT_SOUND="it needs PulseAudio, and $tool is not installed"
    done
  fi
  [[ -z $WITHOUT_SOUND ]]
}

has_apt() { command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; }

is_installed() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q '^install ok installed'; }

# Those of the packages that are not installed, in LACKING.
find_lacking() {
  local package
  LACKING=()
  for package in "$@"; do
    is_installed "$package" || LACKING+=("$package")
  done
}

# Whether packages may be installed, and what before the command gives the right to, in AS.
may_install() {
  local answer
  AS=()
  [[ $(id -u) != 0 ]] || return 0
  command -v sudo >/dev/null || return 1
  AS=(sudo)
  sudo -n true 2>/dev/null && return
  [[ -t 0 ]] && read -r -p "Install them now with sudo? [y/N] " answer && [[ $answer == [yY]* ]]
}

# Installs with what apt knows, and only if that fails asks it to look for news. What would remove a package fails, with what
# apt says in WHY.
install_packages() {
  # sudo drops variables, so that the one against questions is set behind it.
  local apt=("${AS[@]}" env DEBIAN_FRONTEND=noninteractive apt-get)
  local install=("${apt[@]}" install --yes --no-remove --no-install-recommends "$@")
  WHY=
  "${install[@]}" >/dev/null 2>&1 && return
  WHY=$({ "${apt[@]}" update; "${install[@]}"; } 2>&1 >/dev/null)
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

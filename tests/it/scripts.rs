//! What the scripts do to a stranger's machine: they install what is missing, ask nothing, and remove nothing. `apt-get`, `sudo`
//! and the like are stood in for, so nothing is installed here.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::tidy::root;

/// Notes what it is called with. To install PulseAudio it has to remove the desktop's sound.
const APT_GET: &str = r#"
echo "apt-get $* (frontend: ${DEBIAN_FRONTEND-none})" >>"$(dirname "$0")/said"
case "$*" in
  *pulseaudio*--no-remove* | *--no-remove*pulseaudio*)
    echo "E: Packages need to be removed but remove is disabled." >&2
    exit 100
    ;;
esac"#;
/// Knows the package whose name stands in the file `installed`.
const DPKG_QUERY: &str = r#"
[ "$(cat "$(dirname "$0")/installed")" = "${4-}" ] && echo "install ok installed""#;
/// Lets anything through, without the variables of the caller.
const SUDO: &str = r#"[ "$1" = -n ] && shift; exec env -i PATH="$PATH" "$@""#;

/// What the script says and what it asks of apt, on a machine of a person who may use sudo and has one package installed.
fn run(script: &str, installed: &str) -> (String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let stand_in = |name: &str, body: &str| {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("permits");
    };
    stand_in("apt-get", APT_GET);
    stand_in("dpkg-query", DPKG_QUERY);
    stand_in("sudo", SUDO);
    stand_in("id", "echo 1000");
    for name in ["said", "installed"] {
        fs::write(folder.path().join(name), if name == "said" { "" } else { installed }).expect("writes");
    }
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let made = Command::new("bash")
        .args(["-c", &format!("set -euo pipefail; . tests/lib.sh; {script}")])
        .current_dir(root())
        .env("PATH", path)
        .env("CARGO_TARGET_DIR", "/elsewhere")
        .output()
        .expect("bash runs");
    assert!(made.status.success(), "{made:?}");
    let said = String::from_utf8(made.stdout).expect("text");
    (said, fs::read_to_string(folder.path().join("said")).expect("a list of calls"))
}

#[test]
fn packages_are_installed_without_a_question_and_none_is_removed() {
    let (said, asked) = run("need_packages flac lame", "lame");
    assert!(said.contains("missing: flac\n"), "{said}");
    let install =
        "apt-get install --yes --no-remove --no-install-recommends flac (frontend: noninteractive)\n";
    assert_eq!(asked, install);
}

#[test]
fn a_sound_server_that_would_push_out_another_is_left_out_and_the_reason_said() {
    let script = r#"wish_sound || say "$WITHOUT_SOUND""#;
    let (said, asked) = run(script, "nothing");
    assert!(said.contains("it needs pulseaudio") && said.contains("remove is disabled"), "{said}");
    let installs = || asked.lines().filter(|line| line.contains(" install "));
    assert!(installs().count() > 0 && installs().all(|line| line.contains("--no-remove")), "{asked}");

    // Where both can be installed, the desktop's own stays the only one.
    let (said, asked) = run(script, "pipewire-pulse");
    assert!(said.contains("PipeWire") && asked.is_empty(), "{said}{asked}");
}

#[test]
fn what_is_built_is_looked_for_where_it_is_built() {
    let (said, _) = run(r#"say "$CARGO_TARGET_DIR""#, "nothing");
    assert_eq!(Path::new(said.trim()), root().join("target"));
}

//! The public API of the protocol, held against the list that is committed: who embeds the crate learns of every
//! change from one file, and no change of it goes unseen.
//!
//! The list is made from the source, item by item, without a nightly compiler. `UPDATE_API=1` rewrites it.

use std::{collections::BTreeSet, fs, path::Path};

use super::tidy::root;

const LIST: &str = "protocol/docs/api.txt";

/// Every public item below a folder of source, one a line: its module, then its declaration.
fn api(folder: &Path, module: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of the project can be read") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            api(&path, &format!("{module}::{name}"), found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && name != "tests" {
            let text = fs::read_to_string(&path).expect("a source file can be read");
            let module = if matches!(name.as_str(), "lib" | "mod") {
                module.to_owned()
            } else {
                format!("{module}::{name}")
            };
            found.extend(items(&text).into_iter().map(|item| format!("{module}: {item}")));
        }
    }
}

/// The public items of one file: `pub` at the start of a statement, and below a public type or trait its fields,
/// variants and methods. It relies on the layout that the formatter keeps and stops at the tests.
fn items(text: &str) -> Vec<String> {
    let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let mut found = Vec::new();
    // What encloses the line, if its members are public with it or are methods of it.
    let mut within: Option<Enclosing> = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if indent == 0 && line.starts_with('}') {
            within = None;
        }
        let open = within.as_ref().is_some_and(|it| it.all_public) && indent == 4;
        let word = line.trim_start();
        let member = open && word.starts_with(|first: char| first.is_ascii_alphabetic());
        if !(member || (word.starts_with("pub ") && indent <= 4)) {
            if indent == 0 {
                within = Enclosing::of(line).or(within);
            }
            continue;
        }
        let mut declaration = word.to_owned();
        while !is_complete(&declaration) {
            let Some(next) = lines.next() else { break };
            let next = next.trim();
            // Documents inside a variant's fields belong to no declaration.
            if !next.starts_with("//") && !next.starts_with('#') {
                declaration = format!("{declaration} {next}");
            }
        }
        let owner =
            within.as_ref().filter(|_| indent > 0).map_or(String::new(), |it| format!("{} . ", it.name));
        found.push(format!("{owner}{}", signature(&declaration)));
        if indent == 0 {
            within = Enclosing::of(line);
        }
    }
    found
}

/// A type, trait or `impl` whose members follow.
struct Enclosing {
    name: String,
    all_public: bool,
}

impl Enclosing {
    fn of(line: &str) -> Option<Self> {
        let all_public = ["pub enum ", "pub trait "].iter().any(|kind| line.starts_with(kind));
        let has_members = all_public || line.starts_with("pub struct ") || line.starts_with("impl");
        let name = line.trim_start_matches("pub ").trim_end_matches('{').trim().to_owned();
        (has_members && line.ends_with('{')).then_some(Self { name, all_public })
    }
}

/// Whether a declaration has all its lines: its brackets are closed, or a body or a list of members begins.
fn is_complete(declaration: &str) -> bool {
    let depth = |open: char, close: char| {
        declaration.matches(open).count().cmp(&declaration.matches(close).count())
            == std::cmp::Ordering::Equal
    };
    let closed = depth('(', ')') && depth('[', ']');
    let whole = declaration.starts_with("pub use") || declaration.contains(" = ") || is_variant(declaration);
    if whole {
        return closed && depth('{', '}') && declaration.ends_with([';', ',', '}']);
    }
    closed && declaration.ends_with(['{', '}', ';', ','])
}

/// Whether a declaration is a variant with named fields.
fn is_variant(declaration: &str) -> bool {
    declaration.starts_with(|first: char| first.is_ascii_uppercase())
}

/// A declaration without its body: a value of a constant, or the code of a function.
fn signature(declaration: &str) -> String {
    let keeps_braces = declaration.starts_with("pub use") || is_variant(declaration);
    let end = if keeps_braces { None } else { declaration.find(" {") };
    let cut = declaration.get(..end.unwrap_or(declaration.len())).unwrap_or(declaration);
    cut.trim_end_matches([';', ','])
        .replace("( ", "(")
        .replace(", )", ")")
        .replace(", }", " }")
        .trim()
        .to_owned()
}

fn current() -> String {
    let mut found = BTreeSet::new();
    api(&root().join("protocol/src"), "jamsync_protocol", &mut found);
    let mut text = String::from(
        "The public items of jamsync-protocol by module, as tests/it/api.rs reads them. `cargo doc` explains them.\n\n",
    );
    for item in found {
        text.push_str(&item);
        text.push('\n');
    }
    text
}

#[test]
fn the_public_api_is_the_one_that_is_listed() {
    let path = root().join(LIST);
    let current = current();
    if std::env::var_os("UPDATE_API").is_some() {
        fs::write(&path, &current).expect("the list can be written");
    }
    let listed = fs::read_to_string(&path).unwrap_or_default();
    let (old, new): (BTreeSet<&str>, BTreeSet<&str>) = (listed.lines().collect(), current.lines().collect());
    let gone: Vec<&&str> = old.difference(&new).collect();
    let added: Vec<&&str> = new.difference(&old).collect();
    assert!(
        listed == current,
        "the public API has changed.\nonly in {LIST}: {gone:#?}\nonly in the source: {added:#?}\n\
         If that is meant: UPDATE_API=1 cargo test -p jamsync-tests --test it api, and say so in the changelog."
    );
}

#[test]
fn the_items_of_a_file_are_read_as_the_formatter_lays_them_out() {
    let text = "\
pub struct A<T> {
    /// Seen.
    pub b: T,
    hidden: u8,
}
pub enum E {
    One,
    Two {
        /// Why.
        why: u8,
    },
}
pub(crate) struct Not;
impl<T> A<T> {
    pub const K: u8 = 1;
    pub fn long(
        &self,
        x: u8,
    ) -> u8 {
        pub_fn()
    }
    fn private() {}
}
pub trait R {
    fn r(&self);
}
impl R for E {
    fn r(&self) {}
}
pub use a::{
    B,
    C,
};
pub const N: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    pub fn no() {}
}
";
    let expected = [
        "pub struct A<T>",
        "struct A<T> . pub b: T",
        "pub enum E",
        "enum E . One",
        "enum E . Two { why: u8 }",
        "impl<T> A<T> . pub const K: u8 = 1",
        "impl<T> A<T> . pub fn long(&self, x: u8) -> u8",
        "pub trait R",
        "trait R . fn r(&self)",
        "pub use a::{ B, C }",
        "pub const N: usize = 64 * 1024",
    ];
    assert_eq!(items(text), expected);
}

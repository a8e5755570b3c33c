//! Reads the house's own source text: its files, their functions, and which room imports which.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One source file.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path from the root of the repository, with `/`.
    pub path: String,
    /// The whole text.
    pub text: String,
}

/// A function and its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Line of its signature, from 1.
    pub line: usize,
    /// Lines from the signature to the closing brace.
    pub lines: usize,
}

/// The root of the repository.
///
/// # Panics
/// If the package has been moved out of it.
#[must_use]
pub fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the repository").to_path_buf()
}

/// Whether files that tests hold against what they find are to be written anew: `ACE_BLESS=1` is set.
#[must_use]
pub fn blesses() -> bool {
    std::env::var_os("ACE_BLESS").is_some()
}

/// All files of the repository whose name ends with one of `endings`, sorted by path.
///
/// # Panics
/// If a file can't be read.
#[must_use]
pub fn sources(endings: &[&str]) -> Vec<Source> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if path.is_dir() {
                if !path.is_symlink() && name != "target" && name != ".git" {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let text = fs::read_to_string(&path).expect("a text file");
                let path = path.strip_prefix(&root).expect("below the root");
                found.push(Source { path: path.to_string_lossy().into_owned(), text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

impl Source {
    /// A file that exists only in a test.
    #[must_use]
    pub fn planted(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The room of core that this file is: `core/src/tiny/hot.rs` is `tiny/hot`, `pool/mod.rs` is
    /// `pool`.
    #[must_use]
    pub fn room(&self) -> Option<&str> {
        let room = self.path.strip_prefix("core/src/")?.strip_suffix(".rs")?;
        Some(room.strip_suffix("/mod").unwrap_or(room))
    }

    /// The text without comments, string contents and the tests at its end.
    #[must_use]
    pub fn code(&self) -> String {
        let body = self.text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        strip(body)
    }

    /// All functions, found by rustfmt's indentation.
    #[must_use]
    pub fn functions(&self) -> Vec<Function> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut functions = Vec::new();
        for (index, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else { continue };
            let indent = &line[..line.len() - line.trim_start().len()];
            let closing = format!("{indent}}}");
            let rest = lines[index..].iter();
            let length = match rest.clone().position(|line| line.ends_with(['{', ';', '}'])) {
                // No body, or one on the line of the signature.
                Some(end) if !lines[index + end].ends_with('{') => end + 1,
                _ => rest.clone().position(|line| *line == closing).map_or(1, |end| end + 1),
            };
            functions.push(Function { name: name.into(), line: index + 1, lines: length });
        }
        functions
    }

    /// The rooms that this file's code names, by `crate::` and `super::` paths.
    #[must_use]
    pub fn imports(&self, rooms: &BTreeSet<String>) -> BTreeSet<String> {
        let Some(own) = self.room() else { return BTreeSet::new() };
        let is_folder = self.path.ends_with("/mod.rs")
            || rooms
                .iter()
                .any(|room| room.strip_prefix(own).is_some_and(|rest| rest.starts_with('/')));
        let parent = own.rsplit_once('/').map_or("", |(parent, _)| parent);
        let code: String = self.code().split_whitespace().collect::<Vec<_>>().join(" ");
        let mut paths = Vec::new();
        for (keyword, base) in [("crate::", ""), ("super::", parent), ("self::", own)] {
            for (at, _) in code.match_indices(keyword) {
                let before = code[..at].chars().next_back().unwrap_or(' ');
                let standalone = !before.is_alphanumeric() && before != '_' && before != ':';
                let foreign_base = base == own && !is_folder;
                if standalone && !foreign_base {
                    expand(base, &code[at + keyword.len()..], &mut paths);
                }
            }
        }
        paths.iter().map(|path| room_of(path, rooms)).filter(|room| room != own).collect()
    }
}

fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for word in
        ["pub(crate) ", "pub(super) ", "pub ", "const ", "async ", "unsafe ", "extern \"C\" "]
    {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    let end = name.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
    Some(&name[..end])
}

/// The paths that start here: `a::B` is one, `{a::B, c::{D, E}}` two or three.
fn expand(base: &str, text: &str, paths: &mut Vec<String>) {
    let text = text.trim_start();
    let Some(group) = text.strip_prefix('{') else {
        let end =
            text.find(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':');
        let path = text[..end.unwrap_or(text.len())].trim_end_matches(':').replace("::", "/");
        let after = &text[end.unwrap_or(text.len())..];
        let full = if base.is_empty() { path } else { format!("{base}/{path}") };
        if after.starts_with('{') {
            expand(&full, after, paths);
        } else if !after.starts_with('*') || !full.is_empty() {
            paths.push(full);
        }
        return;
    };
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                if !group[start..at].trim().is_empty() {
                    expand(base, &group[start..at], paths);
                }
                start = at + 1;
                if letter == '}' {
                    return;
                }
            }
            _ => {}
        }
    }
}

/// The longest room that a path starts with; `lib` for what the crate's root re-exports.
fn room_of(path: &str, rooms: &BTreeSet<String>) -> String {
    let mut path = path;
    loop {
        if rooms.contains(path) {
            return path.into();
        }
        match path.rsplit_once('/') {
            Some((shorter, _)) => path = shorter,
            None => return "lib".into(),
        }
    }
}

/// Blanks comments and the contents of strings and characters.
fn strip(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if letter == '"' {
            end_of_string(rest)
        } else if letter == '\'' {
            end_of_character(rest)
        } else {
            0
        };
        let kept = if skipped == 0 { letter.len_utf8() } else { 0 };
        code.push_str(&rest[..kept]);
        rest = &rest[kept + skipped..];
    }
    code
}

fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Length of a character literal; 0 for a lifetime.
fn end_of_character(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => text[2..].find('\'').map_or(0, |end| {
            // '\'' ends one quote later.
            if text[2..].starts_with("''") { 4 } else { end + 3 }
        }),
        Some(_) => letters.next().filter(|(_, letter)| *letter == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

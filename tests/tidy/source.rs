//! Rust sources as tokens: enough of a reader for the rules of tests/tidy.rs, and no more.

use std::fs;
use std::path::{Path, PathBuf};

/// A source file, named relative to the repository.
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_test(&self) -> bool {
        self.name.ends_with("/tests.rs")
            || self.name.contains("/tests/")
            || self.name.starts_with("tests/")
    }

    /// The text before the unit tests, which stand last in a file; nothing for a file of tests.
    pub(crate) fn implementation(&self) -> &str {
        if self.is_test() {
            return "";
        }
        let end = self
            .text
            .find("#[cfg(test)]\nmod ")
            .unwrap_or(self.text.len());
        &self.text[..end]
    }

    pub(crate) fn tokens(&self) -> Vec<Token> {
        tokens(&masked(&self.text))
    }

    /// `connection` for `src/connection.rs` and `src/connection/acks.rs`; none for `src/lib.rs`.
    pub(crate) fn top_module(&self) -> Option<&str> {
        let path = self.name.strip_prefix("src/")?;
        let first = path.split('/').next()?;
        let module = first.strip_suffix(".rs").unwrap_or(first);
        (module != "lib").then_some(module)
    }

    /// The top-level modules that the implementation names, by `crate::` or by climbing with `super::`.
    pub(crate) fn crate_paths(&self) -> Vec<(usize, String)> {
        let depth = self.name.matches('/').count();
        let tokens = tokens(&masked(self.implementation()));
        let mut found = Vec::new();
        let mut at = 0;
        while at < tokens.len() {
            let (start, supers) = (at, supers_at(&tokens, at));
            at += 1;
            if supers > 0 {
                at = start + 3 * supers;
            } else if tokens[start].text == "crate" && is_path_separator(&tokens, start + 1) {
                at = start + 3;
            } else {
                continue;
            }
            let is_crate_root = supers == 0 || supers == depth;
            if is_crate_root {
                found.extend(
                    heads(&tokens[at..])
                        .into_iter()
                        .map(|name| (tokens[start].line, name)),
                );
            }
        }
        found
    }
}

/// How many `super::` stand here in a row.
fn supers_at(tokens: &[Token], at: usize) -> usize {
    let is_super = |i: &usize| {
        tokens.get(*i).is_some_and(|t| t.text == "super") && is_path_separator(tokens, i + 1)
    };
    (at..).step_by(3).take_while(is_super).count()
}

fn is_path_separator(tokens: &[Token], at: usize) -> bool {
    tokens
        .get(at..at + 2)
        .is_some_and(|pair| pair.iter().all(|token| token.text == ":"))
}

/// The first names of a path's rest: one name, or those of a group `{a::b, c::{d}}`.
fn heads(tokens: &[Token]) -> Vec<String> {
    if tokens.first().is_none_or(|token| token.text != "{") {
        return tokens
            .first()
            .map(|token| token.text.clone())
            .into_iter()
            .collect();
    }
    let (mut depth, mut names) = (0, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            name if depth == 1
                && ["{", ","].contains(&tokens[at - 1].text.as_str())
                && name != "," =>
            {
                names.push(name.to_owned());
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// A word, a number, or one punctuation character.
pub(crate) struct Token {
    pub(crate) line: usize,
    pub(crate) text: String,
}

pub(crate) fn tokens(masked: &str) -> Vec<Token> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens: Vec<Token> = Vec::new();
    for (at, line) in masked.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let len = if is_word(first) {
                rest.find(|c| !is_word(c)).unwrap_or(rest.len())
            } else {
                first.len_utf8()
            };
            tokens.push(Token {
                line: at + 1,
                text: rest[..len].to_owned(),
            });
            rest = rest[len..].trim_start();
        }
    }
    tokens
}

pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) lines: usize,
}

/// Every function that has a body.
pub(crate) fn functions(tokens: &[Token]) -> Vec<Function> {
    let mut found = Vec::new();
    for (at, token) in tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| token.text == "fn")
    {
        let is_end = |token: &Token| token.text == "{" || token.text == ";";
        // A `;` inside an array type of the signature would end the search too early: none has a body of its own.
        let Some(open) = tokens[at..].iter().position(is_end).map(|after| at + after) else {
            continue;
        };
        if tokens[open].text == ";" && !inside_brackets(&tokens[at..open]) {
            continue;
        }
        let Some(open) = tokens[open..]
            .iter()
            .position(|t| t.text == "{")
            .map(|after| open + after)
        else {
            continue;
        };
        if let Some(close) = matching(tokens, open) {
            let lines = tokens[close].line - token.line + 1;
            found.push(Function {
                name: tokens[at + 1].text.clone(),
                line: token.line,
                lines,
            });
        }
    }
    found
}

fn inside_brackets(tokens: &[Token]) -> bool {
    let count = |text: &str| tokens.iter().filter(|token| token.text == text).count();
    count("[") > count("]") || count("(") > count(")")
}

fn matching(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" if depth == 1 => return Some(at),
            "}" => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The text with comments, strings and character literals blanked; every line stays where it was.
pub(crate) fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = literal_len(rest);
        if len == 0 {
            out.push(first);
            // A whole word at once: the `r` of `for` begins no raw string.
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let tail = &rest[first.len_utf8()..];
            let more = if is_word(first) {
                tail.find(|c| !is_word(c)).unwrap_or(tail.len())
            } else {
                0
            };
            out.push_str(&tail[..more]);
            rest = &tail[more..];
        } else {
            out.extend(
                rest[..len]
                    .chars()
                    .map(|c| if c == '\n' { '\n' } else { ' ' }),
            );
            rest = &rest[len..];
        }
    }
    out
}

/// Length of the comment or literal that begins here; 0 if none does.
fn literal_len(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_len(text);
    }
    let unprefixed = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - unprefixed.len();
    if prefix <= 1 {
        if let Some(hashes) = raw_string_hashes(unprefixed) {
            let end = format!("\"{}", "#".repeat(hashes));
            let body = prefix + hashes + 2;
            return text[body..]
                .find(&end)
                .map_or(text.len(), |at| body + at + end.len());
        }
        if unprefixed.starts_with('"') {
            return prefix + quoted_len(unprefixed, '"');
        }
        if unprefixed.starts_with('\'') && is_char_literal(unprefixed) {
            return prefix + quoted_len(unprefixed, '\'');
        }
    }
    0
}

fn raw_string_hashes(text: &str) -> Option<usize> {
    let after = text.strip_prefix('r')?;
    let quote = after.trim_start_matches('#');
    quote.starts_with('"').then(|| after.len() - quote.len())
}

/// `'a'` and `'\n'`, but not the lifetime `'a`.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    let first = chars.next();
    first == Some('\\') || chars.next() == Some('\'')
}

fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn block_comment_len(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let step = if text[at..].starts_with("/*") {
            depth += 1;
            2
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            2
        } else {
            text[at..].chars().next().map_or(1, char::len_utf8)
        };
        at += step;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let rust = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "rs");
    files_below(Path::new(folder))
        .into_iter()
        .filter(rust)
        .map(|path| Source {
            name: display(&path),
            text: read(&path),
        })
        .collect()
}

/// Every file of the repository that people read.
pub(crate) fn text_files() -> Vec<PathBuf> {
    let kinds = ["rs", "md", "toml", "txt", "sh", "yml", "yaml"];
    let mut files = files_below(Path::new("."));
    files.retain(|path| {
        path.extension()
            .is_some_and(|extension| kinds.contains(&&*extension.to_string_lossy()))
            || path.ends_with(".ci/run")
    });
    files
}

/// Files below a folder (none if there is no such folder), in a fixed order, without what tools leave behind.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let left_behind = [
            "target",
            ".git",
            "corpus",
            "artifacts",
            "coverage",
            "proptest-regressions",
        ];
        if path.is_dir() && !left_behind.contains(&name.as_str()) {
            found.extend(files_below(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub(crate) fn display(path: &Path) -> String {
    path.strip_prefix(".")
        .unwrap_or(path)
        .to_string_lossy()
        .replace('\\', "/")
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
}

//! Reads from its tokens what a Rust file mentions. Comments, strings, and what only tests compile
//! do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use anyhow::{Context, Result, anyhow};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A module's path from its crate's root, whose own path is empty.
pub type Module = Vec<String>;

/// Reads the files of one library or program, by module, starting with the root file `root`.
pub fn read_all(root: &Path) -> Result<BTreeMap<Module, (PathBuf, Source)>> {
    let folder = root.parent().context("a crate's root has no folder")?;
    let mut modules = BTreeMap::new();
    let mut waiting = vec![(Module::new(), root.to_path_buf())];
    while let Some((module, file)) = waiting.pop() {
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let source = Source::read(&text, &module).with_context(|| file.display().to_string())?;
        for child in &source.modules {
            let path = folder.join(child.iter().collect::<PathBuf>());
            let files = [path.with_extension("rs"), path.join("mod.rs")];
            let file = files.into_iter().find(|file| file.is_file());
            let file = file.with_context(|| format!("{} has no file", child.join("::")))?;
            waiting.push((child.clone(), file));
        }
        modules.insert(module, (file, source));
    }
    Ok(modules)
}

/// A path such as `std::fs::read` or `crate::round::Phase`; the last word of a macro's path ends
/// with `!`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The words of the path. One that begins with `self` or `super` begins with `crate` here.
    pub path: Vec<String>,
    pub line: usize,
    /// The module in which it stands, from the crate's root; an inline module has no file of its
    /// own.
    pub within: Module,
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An import by `use`, under its own name or the one after `as`.
    Import,
    /// A re-export by `pub use` or `pub(…) use`.
    ReExport,
    /// Any other use.
    Use,
}

/// What one file defines and mentions.
#[derive(Debug, Default)]
pub struct Source {
    pub mentions: Vec<Mention>,
    /// The names after `fn`, `struct` and so on, at any depth.
    pub defines: BTreeSet<String>,
    /// The modules with their own file, except those that only tests compile.
    pub modules: BTreeSet<Module>,
}

/// Words that introduce a name.
const DEFINING: [&str; 10] = [
    "const",
    "enum",
    "fn",
    "macro_rules",
    "mod",
    "static",
    "struct",
    "trait",
    "type",
    "union",
];
/// Words that start an item that ends with `;`, even if braces come before.
const UNTIL_SEMICOLON: [&str; 4] = ["const", "static", "type", "use"];

impl Source {
    /// Reads the file of `module`.
    pub fn read(text: &str, module: &[String]) -> Result<Self> {
        let mut source = Self::default();
        source.collect(tokens(text)?, module);
        Ok(source)
    }

    fn collect(&mut self, tokens: TokenStream, module: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut public = false;
        while at < tokens.len() {
            let next = &tokens[at];
            let after = &tokens[at + 1..];
            if punctuation(next) == Some('#')
                && let Some(attribute) = after.first().and_then(group)
            {
                if only_in_tests(attribute.stream()) {
                    at = Self::pass_over_item(&tokens, at);
                } else {
                    self.collect(attribute.stream(), module);
                    at += 2;
                }
                continue;
            }
            match next {
                TokenTree::Group(inner) => self.collect(inner.stream(), module),
                TokenTree::Ident(word) => {
                    match word.to_string().as_str() {
                        "pub" => {
                            public = true;
                            at += 1;
                            // This is `pub(crate)`.
                            at +=
                                usize::from(after.first().and_then(group).is_some_and(|group| {
                                    group.delimiter() == Delimiter::Parenthesis
                                }));
                            continue;
                        }
                        "use"
                            if after
                                .first()
                                .is_none_or(|next| punctuation(next) != Some('<')) =>
                        {
                            let kind = if public { Kind::ReExport } else { Kind::Import };
                            let length = after
                                .iter()
                                .position(|token| punctuation(token) == Some(';'))
                                .unwrap_or(after.len());
                            self.tree(&after[..length], &[], module, kind);
                            at += length;
                        }
                        "mod" if matches!(after, [TokenTree::Ident(_), _, ..]) => {
                            let within = [module, &[after[0].to_string()]].concat();
                            if let TokenTree::Group(body) = &after[1] {
                                self.collect(body.stream(), &within);
                            } else {
                                self.modules.insert(within);
                            }
                            at += 2;
                        }
                        text => {
                            if DEFINING.contains(&text)
                                && let Some(TokenTree::Ident(name)) =
                                    after.iter().find(|token| punctuation(token) != Some('!'))
                            {
                                self.defines.insert(name.to_string());
                            }
                            at += self.path(&tokens[at..], module);
                            public = false;
                            continue;
                        }
                    }
                }
                _ => {}
            }
            public = false;
            at += 1;
        }
    }

    /// Reads the path with which `tokens` begin; returns how many tokens it has.
    fn path(&mut self, tokens: &[TokenTree], module: &[String]) -> usize {
        let mut path = vec![tokens[0].to_string()];
        let mut length = 1;
        while let Some(TokenTree::Ident(word)) = tokens.get(length + 2)
            && colons(&tokens[length..])
        {
            path.push(word.to_string());
            length += 3;
        }
        let exclamation = tokens.get(length).and_then(punctuation) == Some('!');
        // `a!=b` is a comparison.
        if exclamation && tokens.get(length + 1).and_then(group).is_some() {
            path.last_mut().into_iter().for_each(|last| last.push('!'));
        }
        if length > 1 || path[0].ends_with('!') {
            self.mention(path, tokens, module, Kind::Use);
        }
        length
    }

    /// Reads the paths of a `use`, with its braces expanded.
    fn tree(&mut self, tokens: &[TokenTree], before: &[String], module: &[String], kind: Kind) {
        for branch in tokens.split(|token| punctuation(token) == Some(',')) {
            let mut path = before.to_vec();
            for (at, token) in branch.iter().enumerate() {
                match token {
                    TokenTree::Group(inner) => {
                        let inner: Vec<TokenTree> = inner.stream().into_iter().collect();
                        self.tree(&inner, &path, module, kind);
                        path.clear();
                    }
                    // `as` gives a name that only this file knows; `self` stands for what comes
                    // before it.
                    TokenTree::Ident(word) if word == "as" => break,
                    TokenTree::Ident(word) if word == "self" && at == 0 && !before.is_empty() => {}
                    TokenTree::Ident(word) => path.push(word.to_string()),
                    TokenTree::Punct(mark) if mark.as_char() == '*' => path.push("*".to_owned()),
                    _ => {}
                }
            }
            if !path.is_empty() {
                self.mention(path, branch, module, kind);
            }
        }
    }

    fn mention(&mut self, path: Vec<String>, at: &[TokenTree], module: &[String], kind: Kind) {
        let line = at.first().map_or(0, |token| token.span().start().line);
        let ups = path.iter().take_while(|word| *word == "super").count();
        let path = match path[0].as_str() {
            "self" => [&["crate".to_owned()], module, &path[1..]].concat(),
            "super" => {
                let above = &module[..module.len().saturating_sub(ups)];
                [&["crate".to_owned()], above, &path[ups..]].concat()
            }
            _ => path,
        };
        let within = module.to_vec();
        self.mentions.push(Mention {
            path,
            line,
            within,
            kind,
        });
    }

    /// The end of the item whose first attribute is at `at`.
    fn pass_over_item(tokens: &[TokenTree], mut at: usize) -> usize {
        while punctuation(&tokens[at]) == Some('#') && at + 2 < tokens.len() {
            at += 2;
        }
        let mut until_semicolon = false;
        let first = tokens[at].to_string();
        let is_item = DEFINING.contains(&first.as_str())
            || ["pub", "use", "impl", "async", "unsafe"].contains(&first.as_str());
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Ident(word) => {
                    let word = word.to_string();
                    // `const fn` has a body.
                    let function = tokens.get(at).is_some_and(|next| next.to_string() == "fn");
                    until_semicolon |= UNTIL_SEMICOLON.contains(&word.as_str()) && !function;
                }
                TokenTree::Group(body)
                    if body.delimiter() == Delimiter::Brace && !until_semicolon =>
                {
                    break;
                }
                TokenTree::Punct(mark) if mark.as_char() == ';' => break,
                // A field, a variant or a match arm ends here.
                TokenTree::Punct(mark) if mark.as_char() == ',' && !is_item => break,
                _ => {}
            }
        }
        at
    }
}

/// Number of `cfg`, `cfg_attr` and `cfg!` in a file that ask for a cargo feature.
pub fn feature_switches(text: &str) -> Result<usize> {
    fn count(tokens: TokenStream) -> usize {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut found = 0;
        for (at, token) in tokens.iter().enumerate() {
            let TokenTree::Group(inner) = token else {
                continue;
            };
            let before = tokens[..at]
                .iter()
                .rev()
                .find(|token| punctuation(token) != Some('!'));
            let switch =
                before.is_some_and(|word| ["cfg", "cfg_attr"].contains(&word.to_string().as_str()));
            found += if switch {
                usize::from(asks_for_a_feature(inner.stream()))
            } else {
                count(inner.stream())
            };
        }
        found
    }
    fn asks_for_a_feature(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(word) => word == "feature",
            TokenTree::Group(inner) => asks_for_a_feature(inner.stream()),
            _ => false,
        })
    }
    Ok(count(tokens(text)?))
}

fn tokens(text: &str) -> Result<TokenStream> {
    TokenStream::from_str(text).map_err(|error| anyhow!("is not Rust: {error}"))
}

/// Whether an attribute means tests only: `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`.
fn only_in_tests(attribute: TokenStream) -> bool {
    fn asks(tokens: TokenStream) -> bool {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        tokens.iter().enumerate().any(|(at, token)| match token {
            TokenTree::Ident(word) => word == "test",
            TokenTree::Group(inner) => {
                let of_all = at > 0 && tokens[at - 1].to_string() == "all";
                of_all && asks(inner.stream())
            }
            _ => false,
        })
    }
    let words: Vec<TokenTree> = attribute.into_iter().collect();
    match &words[..] {
        [TokenTree::Ident(word)] => word == "test",
        [TokenTree::Ident(word), TokenTree::Group(condition)] => {
            word == "cfg" && asks(condition.stream())
        }
        _ => false,
    }
}

fn group(token: &TokenTree) -> Option<&proc_macro2::Group> {
    match token {
        TokenTree::Group(group) => Some(group),
        _ => None,
    }
}

fn punctuation(token: &TokenTree) -> Option<char> {
    match token {
        TokenTree::Punct(mark) => Some(mark.as_char()),
        _ => None,
    }
}

fn colons(tokens: &[TokenTree]) -> bool {
    tokens.len() >= 2
        && tokens[..2]
            .iter()
            .all(|token| punctuation(token) == Some(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mentions(text: &str) -> Vec<String> {
        let module = ["round".to_owned(), "client".to_owned()];
        let source = Source::read(text, &module).unwrap();
        let joined = |mention: &Mention| format!("{} {}", mention.line, mention.path.join("::"));
        source.mentions.iter().map(joined).collect()
    }

    #[test]
    fn paths_are_read_wherever_they_stand() {
        let text = "use std::{fs::{self, File}, io as inout};\n\
            pub(crate) use super::keys::*;\n\
            fn a(x: &super::super::Task) -> bool { println!(\"{}\", self::b::C); x.d != crate::e::F::<u8>::g() }\n\
            mod inline { use super::h::I; }\n\
            // use std::net::TcpStream;\n\
            const TEXT: &str = \"std::env::var\";\n";
        assert_eq!(
            mentions(text),
            [
                "1 std::fs",
                "1 std::fs::File",
                "1 std::io",
                "2 crate::round::keys::*",
                "3 crate::Task",
                "3 println!",
                "3 crate::round::client::b::C",
                "3 crate::e::F",
                "4 crate::round::client::h::I",
            ]
        );
    }

    #[test]
    fn what_only_tests_compile_is_no_mention() {
        let text = "#[cfg(test)]\nuse std::{fs, env};\n\
            #[cfg(test)]\nmod samples;\n\
            #[cfg(not(test))]\nuse std::thread;\n\
            #[cfg(all(test, unix))]\nmod tests { use std::fs; }\n\
            #[test]\n#[should_panic]\nfn a() { std::process::exit(1) }\n\
            struct S { #[cfg(test)] a: std::fs::File, b: std::net::TcpStream }\n";
        assert_eq!(mentions(text), ["6 std::thread", "12 std::net::TcpStream"]);
        assert_eq!(Source::read(text, &[]).unwrap().modules, BTreeSet::new());
    }

    #[test]
    fn switches_that_ask_for_a_feature_are_counted() {
        let text = "#![cfg_attr(feature = \"a\", no_std)]\n\
            #[cfg(all(unix, not(feature = \"b\")))] fn f() { if cfg!(feature = \"c\") {} }\n\
            #[cfg(target_feature = \"simd128\")] // cfg(feature = \"d\")\n\
            mod m {}\n";
        assert_eq!(feature_switches(text).unwrap(), 3);
    }
}

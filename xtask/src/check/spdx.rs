//! Decides whether an SPDX licence expression can be satisfied with allowed licences only.

/// Whether `expression` (such as `MIT OR (Apache-2.0 WITH LLVM-exception AND BSD-3-Clause)`)
/// leaves a choice in which every licence satisfies `allowed`. A malformed expression does not.
pub fn satisfiable(expression: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    // Old manifests write `MIT/Apache-2.0` for a choice.
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser {
        words: &words,
        allowed,
    };
    parser.choice() == Some(true) && parser.words.is_empty()
}

struct Parser<'a> {
    words: &'a [&'a str],
    allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Parser<'a> {
    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if first.eq_ignore_ascii_case(word) => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }

    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    /// choice = all { "OR" all }
    fn choice(&mut self) -> Option<bool> {
        let mut satisfied = self.all()?;
        while self.take("OR") {
            satisfied |= self.all()?;
        }
        Some(satisfied)
    }

    /// all = one { "AND" one }
    fn all(&mut self) -> Option<bool> {
        let mut satisfied = self.one()?;
        while self.take("AND") {
            satisfied &= self.one()?;
        }
        Some(satisfied)
    }

    /// one = "(" choice ")" | licence [ "WITH" exception ]
    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let satisfied = self.choice()?;
            return self.take(")").then_some(satisfied);
        }
        let licence = self
            .next()
            .filter(|word| !["OR", "AND", "WITH", ")"].contains(word))?;
        // An exception only adds permissions.
        if self.take("WITH") {
            self.next()?;
        }
        Some((self.allowed)(licence))
    }
}

#[cfg(test)]
mod tests {
    use super::satisfiable;

    fn check(expression: &str) -> bool {
        satisfiable(expression, &|licence| {
            ["MIT", "Apache-2.0"].contains(&licence)
        })
    }

    #[test]
    fn a_choice_needs_one_allowed_licence() {
        assert!(check("MIT"));
        assert!(check("GPL-3.0-only OR MIT"));
        assert!(check("MIT/Apache-2.0"));
        assert!(!check("GPL-3.0-only"));
        assert!(!check("GPL-3.0-only OR LGPL-2.1-or-later"));
    }

    #[test]
    fn a_conjunction_needs_all() {
        assert!(check("MIT AND Apache-2.0"));
        assert!(!check("MIT AND OpenSSL"));
        assert!(check("(GPL-2.0 OR MIT) AND Apache-2.0 WITH LLVM-exception"));
        // AND binds tighter than OR.
        assert!(check("MIT OR GPL-2.0 AND OpenSSL"));
        assert!(!check("(MIT OR GPL-2.0) AND OpenSSL"));
    }

    #[test]
    fn malformed_expressions_are_refused() {
        for expression in ["", "MIT OR", "(MIT", "MIT)", "MIT MIT", "OR", "MIT WITH"] {
            assert!(!check(expression), "{expression:?}");
        }
    }
}

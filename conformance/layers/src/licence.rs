/// Licences that ask for no more than a notice.
const PERMISSIVE: [&str; 13] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BlueOak-1.0.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Whether an SPDX expression can be met with permissive licences alone. `A/B` is the old way to write `A OR B`.
/// What cannot be read is not permissive.
pub fn is_permissive(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut parser = Parser { tokens: &tokens };
    let permissive = parser.any_of();
    permissive == Some(true) && parser.tokens.is_empty()
}

/// Each step returns whether what it read is permissive, or `None` where the grammar is broken.
struct Parser<'a> {
    tokens: &'a [&'a str],
}

impl Parser<'_> {
    fn any_of(&mut self) -> Option<bool> {
        let mut permissive = self.all_of()?;
        while self.take("OR") {
            permissive |= self.all_of()?;
        }
        Some(permissive)
    }

    fn all_of(&mut self) -> Option<bool> {
        let mut permissive = self.licence()?;
        while self.take("AND") {
            permissive &= self.licence()?;
        }
        Some(permissive)
    }

    fn licence(&mut self) -> Option<bool> {
        if self.take("(") {
            let permissive = self.any_of()?;
            return self.take(")").then_some(permissive);
        }
        let permissive = PERMISSIVE.contains(&self.name()?);
        if self.take("WITH") {
            self.name()?; // an exception only permits more
        }
        Some(permissive)
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.tokens.first().is_some_and(|next| *next == token);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn name(&mut self) -> Option<&str> {
        let (name, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        (!["OR", "AND", "WITH", "(", ")"].contains(name)).then_some(*name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_permissive_if_one_choice_is_wholly_so() {
        for expression in [
            "MIT",
            "MIT/Apache-2.0",
            "MPL-2.0 OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception",
            "Apache-2.0 AND ISC OR GPL-3.0-only",
        ] {
            assert!(is_permissive(expression), "{expression}");
        }
        for expression in [
            "",
            "MPL-2.0",
            "MIT AND MPL-2.0",
            "MIT OR",
            "(MIT",
            "MIT)",
            "MIT ISC",
            "GPL-3.0-only WITH x",
            "BUSL-1.1",
        ] {
            assert!(!is_permissive(expression), "{expression}");
        }
    }
}

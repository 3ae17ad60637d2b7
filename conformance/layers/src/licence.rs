/// The licences that a dependency may have.
#[derive(Debug, PartialEq, Eq)]
pub struct Allowed(Vec<String>);

impl Allowed {
    /// Reads `allow = […]` of the section `[licenses]` of a `deny.toml`; `None` where there is none.
    pub fn parse(page: &str) -> Option<Self> {
        let (_, section) = page.split_once("[licenses]")?;
        let (_, list) = section.split_once("allow = [")?;
        let (list, _) = list.split_once(']')?;
        Some(Self(list.split('"').skip(1).step_by(2).map(str::to_owned).collect()))
    }

    /// Their SPDX identifiers.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether an SPDX expression can be met with allowed licences alone. `A/B` is the old way to write `A OR B`.
    /// What cannot be read is not allowed.
    pub fn permits(&self, expression: &str) -> bool {
        let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
        let tokens: Vec<&str> = spaced.split_whitespace().collect();
        let mut parser = Parser { tokens: &tokens, allowed: self };
        let permitted = parser.any_of();
        permitted == Some(true) && parser.tokens.is_empty()
    }
}

/// Each step returns whether what it read is allowed, or `None` where the grammar is broken.
struct Parser<'a> {
    tokens: &'a [&'a str],
    allowed: &'a Allowed,
}

impl<'a> Parser<'a> {
    fn any_of(&mut self) -> Option<bool> {
        let mut permitted = self.all_of()?;
        while self.take("OR") {
            permitted |= self.all_of()?;
        }
        Some(permitted)
    }

    fn all_of(&mut self) -> Option<bool> {
        let mut permitted = self.licence()?;
        while self.take("AND") {
            permitted &= self.licence()?;
        }
        Some(permitted)
    }

    fn licence(&mut self) -> Option<bool> {
        if self.take("(") {
            let permitted = self.any_of()?;
            return self.take(")").then_some(permitted);
        }
        let name = self.name()?;
        let permitted = self.allowed.names().any(|allowed| allowed == name);
        if self.take("WITH") {
            self.name()?; // an exception only permits more
        }
        Some(permitted)
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.tokens.first().is_some_and(|next| *next == token);
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn name(&mut self) -> Option<&'a str> {
        let (name, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        (!["OR", "AND", "WITH", "(", ")"].contains(name)).then_some(*name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_permitted_if_one_choice_is_wholly_allowed() {
        let page = "[graph]\nall-features = true\n[licenses]\n# why\nallow = [\n    \"MIT\",\n    \"Apache-2.0\", \"ISC\",\n]\n";
        let allowed = Allowed::parse(page).unwrap();
        assert_eq!(allowed.names().collect::<Vec<_>>(), ["MIT", "Apache-2.0", "ISC"]);
        for expression in [
            "MIT",
            "MIT/Apache-2.0",
            "MPL-2.0 OR MIT",
            "(MIT OR MPL-2.0) AND ISC",
            "Apache-2.0 WITH LLVM-exception",
            "Apache-2.0 AND ISC OR GPL-3.0-only",
        ] {
            assert!(allowed.permits(expression), "{expression}");
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
            assert!(!allowed.permits(expression), "{expression}");
        }
    }

    #[test]
    fn a_page_without_a_list_allows_nothing() {
        assert_eq!(Allowed::parse("[licenses]\n"), None);
        assert_eq!(Allowed::parse("allow = [\"MIT\"]"), None);
    }
}

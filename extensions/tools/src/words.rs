use std::ffi::OsString;

/// Stands between the parts of a property; no word of a command line can hold it.
pub(crate) const SEPARATOR: char = '\0';

/// The command line with each `-D COMMAND NAME VALUE` made one word, so that a value may look like a flag: how many
/// words belong to a property depends on its name.
pub(crate) fn gathered(words: Vec<OsString>) -> Vec<OsString> {
    let mut gathered = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word != "-D" && word != "--property" {
            gathered.push(word);
            continue;
        }
        let mut parts: Vec<OsString> = words.by_ref().take(2).collect();
        let values = if parts.get(1).is_some_and(|name| name == "user-property") { 2 } else { 1 };
        parts.extend(words.by_ref().take(values));
        let mut property = OsString::from("--property=");
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                property.push(SEPARATOR.to_string());
            }
            property.push(part);
        }
        gathered.push(property);
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_property_takes_as_many_words_as_its_name_says() {
        let line = "pub -D publish user-property -a -b -D connect session-expiry-interval 5 -t x -D will";
        let words = gathered(line.split(' ').map(OsString::from).collect());
        let expected = [
            "pub",
            "--property=publish\0user-property\0-a\0-b",
            "--property=connect\0session-expiry-interval\x005",
            "-t",
            "x",
            "--property=will",
        ];
        assert_eq!(words, expected);
    }
}

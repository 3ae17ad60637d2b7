use std::process::Command;

use super::Kind;

/// Asks a program which version it is.
pub(super) fn ask(program: &str, kind: Kind) -> Result<String, String> {
    let option = if kind == Kind::Mosquitto { "-h" } else { "--version" };
    let output = Command::new(program).arg(option).output();
    let output = output.map_err(|error| format!("{program} cannot be started: {error}"))?;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    find(&text).map(str::to_owned).ok_or_else(|| format!("{program} {option} tells no version"))
}

/// The first word that looks like a version.
fn find(text: &str) -> Option<&str> {
    let words = text.split(|character: char| character.is_whitespace() || ",()".contains(character));
    let mut words = words.map(|word| word.trim_start_matches('v'));
    words.find(|word| {
        word.contains('.') && word.chars().all(|character| character.is_ascii_digit() || character == '.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_broker_says_its_version_in_its_own_way() {
        assert_eq!(find("FlashMQ Version 1.26.2 with SSE4.2 support\n"), Some("1.26.2"));
        assert_eq!(
            find("mosquitto version 2.0.11\n\nmosquitto is an MQTT v5.0/v3.1.1 broker."),
            Some("2.0.11")
        );
        assert_eq!(find("nats-server: v2.15.1"), Some("2.15.1"));
        assert_eq!(find("no version. at all"), None);
    }
}

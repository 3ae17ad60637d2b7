use std::io::{BufRead, IsTerminal, stdin};

use access::{Mechanism, ScramError};
use anyhow::{Context, ensure};

/// Reads a password, twice from a terminal, and returns the user's entry for the configuration file.
pub(crate) fn entry(name: &str, superuser: bool) -> anyhow::Result<String> {
    ensure!(!name.is_empty(), "a user needs a name");
    let password = if stdin().is_terminal() { ask(name)? } else { read_line()? };
    ensure!(!password.is_empty(), "an empty password lets everybody in who knows the name; give another");
    let hash = access::hash_password(password.as_bytes()).context("the password")?;
    let scram = scram(name, &password);
    let name = toml::Value::from(name);
    let superuser = if superuser { "superuser = true\n" } else { "" };
    Ok(format!("[[access.users]]\nname = {name}\npassword_hash = \"{hash}\"\n{scram}{superuser}"))
}

/// What SCRAM needs of the password, or why there is none.
fn scram(name: &str, password: &str) -> String {
    let credentials = || {
        access::is_scram_name(name)?;
        Mechanism::ALL
            .into_iter()
            .map(|mechanism| access::scram_credential(mechanism, password))
            .collect::<Result<_, _>>()
    };
    let lines = |credentials: Vec<String>| {
        let lines = credentials.into_iter().map(|credential| format!("    \"{credential}\",\n"));
        format!("scram = [\n{}]\n", lines.collect::<String>())
    };
    let none = |error: ScramError| format!("# No scram: {error}.\n");
    credentials().map_or_else(none, lines)
}

fn ask(name: &str) -> anyhow::Result<String> {
    let password = rpassword::prompt_password(format!("Password of {name}: "))?;
    let again = rpassword::prompt_password("Once more: ")?;
    ensure!(password == again, "the two passwords differ");
    Ok(password)
}

fn read_line() -> anyhow::Result<String> {
    let mut line = String::new();
    stdin().lock().read_line(&mut line).context("no password can be read from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

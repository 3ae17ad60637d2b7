use std::io::{BufRead, IsTerminal, stdin};

use anyhow::{Context, ensure};

/// Reads a password, twice from a terminal, and returns the user's entry for the configuration file.
pub(crate) fn entry(name: &str, superuser: bool) -> anyhow::Result<String> {
    ensure!(!name.is_empty(), "a user needs a name");
    let password = if stdin().is_terminal() { ask(name)? } else { read_line()? };
    ensure!(!password.is_empty(), "an empty password lets everybody in who knows the name; give another");
    let hash = access::hash_password(password.as_bytes()).context("the password")?;
    let name = toml::Value::from(name);
    let superuser = if superuser { "superuser = true\n" } else { "" };
    Ok(format!("[[access.users]]\nname = {name}\npassword_hash = \"{hash}\"\n{superuser}"))
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

use std::fs;

use oscore::{Message, Opened, Owner, Parameters, RequestError};

use super::*;

const FILE: &str = r#"
[[context]]
client_id = "sensor"
master_secret = "000102030405060708090a0b0c0d0e0f"
sender_id = "ff"
recipient_id = "01"
"#;

/// A server with this file, in a directory of its own.
fn server(directory: &Path, text: &str) -> (OscoreContexts, Config) {
    let mut config = Config { state_directory: directory.join("state"), ..Config::default() };
    config.coap.oscore.contexts_file = directory.join("contexts.toml");
    fs::write(&config.coap.oscore.contexts_file, text).unwrap();
    (OscoreContexts::load(&config).unwrap(), config)
}

/// The device's side of the context in [`FILE`].
fn device() -> Arc<SecurityContext> {
    let parameters = Parameters {
        master_secret: (0..16).collect(),
        sender_id: vec![1],
        recipient_id: vec![0xFF],
        ..Parameters::default()
    };
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SequenceFile::open(directory.path()).unwrap());
    let start = Start { next: 0, reserved: 1_000, echo: None };
    Arc::new(SecurityContext::derive(&parameters, Owner::default(), start, store).unwrap())
}

fn open(contexts: &OscoreContexts, device: &Arc<SecurityContext>) -> Result<Opened, RequestError> {
    let (request, _) = device.protect_request(Message::new(1)).unwrap();
    contexts.in_force.current().open(&request)
}

/// Asks until the server knows that the device is there.
fn meet(contexts: &OscoreContexts, device: &Arc<SecurityContext>) {
    let (request, mut pending) = device.protect_request(Message::new(1)).unwrap();
    let Ok(Opened::Challenge(answer)) = contexts.in_force.current().open(&request) else {
        panic!("no challenge")
    };
    let echo = pending.open(answer).unwrap().option(252).unwrap().to_vec();
    let (request, _) = device.protect_request(Message::new(1).with(252, echo)).unwrap();
    assert!(matches!(contexts.in_force.current().open(&request), Ok(Opened::Request(..))));
}

#[test]
fn a_context_of_the_file_is_in_force_and_wants_an_echo_first() {
    let directory = tempfile::tempdir().unwrap();
    let (contexts, _) = server(directory.path(), FILE);
    meet(&contexts, &device());
}

#[test]
fn a_context_that_stays_goes_on_and_one_that_is_taken_out_is_known_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let (contexts, config) = server(directory.path(), FILE);
    let device = device();
    meet(&contexts, &device);
    let more = FILE.replace("sensor", "another").replace("\"01\"", "\"02\"").replace("\"ff\"", "\"fe\"");
    fs::write(&config.coap.oscore.contexts_file, format!("{FILE}{more}")).unwrap();
    contexts.reload(&config).unwrap();
    assert!(matches!(open(&contexts, &device), Ok(Opened::Request(..))));
    fs::write(&config.coap.oscore.contexts_file, more).unwrap();
    contexts.reload(&config).unwrap();
    assert_eq!(open(&contexts, &device).err(), Some(RequestError::ContextNotFound));
}

#[test]
fn a_file_that_changes_is_in_force_at_the_second_look() {
    let directory = tempfile::tempdir().unwrap();
    let (contexts, config) = server(directory.path(), "");
    fs::write(&config.coap.oscore.contexts_file, FILE).unwrap();
    contexts.refresh();
    assert_eq!(open(&contexts, &device()).err(), Some(RequestError::ContextNotFound));
    contexts.refresh();
    assert!(matches!(open(&contexts, &device()), Ok(Opened::Challenge(_))));
}

#[test]
fn a_fault_is_told_with_file_and_line_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (contexts, config) = server(directory.path(), FILE);
    let device = device();
    meet(&contexts, &device);
    let faults = [
        (format!("{FILE}nonsense"), ":7: "),
        (FILE.replace("\"01\"", "\"ff\""), ":2: sender id and recipient id are the same"),
        (format!("{FILE}{FILE}"), ":8: another context has the same recipient id"),
        (
            format!("{FILE}{}", FILE.replace("\"01\"", "\"02\"")),
            ":8: another context has the same master secret",
        ),
    ];
    for (text, expected) in faults {
        fs::write(&config.coap.oscore.contexts_file, text).unwrap();
        let error = contexts.reload(&config).unwrap_err().to_string();
        assert!(error.contains("contexts.toml") && error.contains(expected), "{error}");
        assert!(!error.contains("000102"), "{error}");
        assert!(matches!(open(&contexts, &device), Ok(Opened::Request(..))));
    }
}

#[test]
fn a_file_that_is_missing_is_a_fault() {
    let mut config = Config::default();
    config.coap.oscore.contexts_file = "/nowhere/contexts.toml".into();
    let error = OscoreContexts::load(&config).err().unwrap().to_string();
    assert!(
        error.contains("/nowhere/contexts.toml") && error.contains("coap.oscore.contexts_file"),
        "{error}"
    );
}

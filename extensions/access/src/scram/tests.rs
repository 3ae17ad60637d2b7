use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const OUR_NONCE: &str = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
const CHALLENGE: &str =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
const LAST: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                    p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SALT: &[u8] =
    &[0x5B, 0x6D, 0x99, 0x68, 0x9D, 0x12, 0x35, 0x8E, 0xEC, 0xA0, 0x4B, 0x14, 0x12, 0x36, 0xFA, 0x81];

fn pencil() -> Credential {
    Credential::derive(Mechanism::Sha256, b"pencil", SALT, 4096)
}

fn begun() -> Conversation {
    Conversation::begin(FIRST, pencil(), OUR_NONCE).unwrap().0
}

#[test]
fn the_exchange_of_rfc_7677_goes_as_written_there() {
    let (conversation, challenge) = Conversation::begin(FIRST, pencil(), OUR_NONCE).unwrap();
    assert_eq!((conversation.username.as_str(), challenge.as_str()), ("user", CHALLENGE));
    let answer = conversation.finish(LAST.as_bytes());
    assert_eq!(answer.as_deref(), Ok("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
}

#[test]
fn a_wrong_proof_nonce_or_header_is_refused() {
    let conversation = begun();
    for (from, to) in [
        ("p=dHz", "p=eHz"),
        ("r=rOpr", "r=sOpr"),
        ("$k0,", "$k1,"),
        ("$k0,p", ",p"),
        ("c=biws", "c=eSws"),
        ("c=biws,", ""),
        (",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ""),
        (",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ",p="),
        (",p=d", ",p=!"),
        ("c=biws,", "m=x,c=biws,"),
    ] {
        let last = LAST.replacen(from, to, 1);
        assert_ne!(last, LAST, "{from}");
        assert_eq!(conversation.finish(last.as_bytes()), Err(Refused), "{last}");
    }
    for nonsense in [&b""[..], b"\xFF\xFE", &[b'a'; 5000]] {
        assert_eq!(conversation.finish(nonsense), Err(Refused));
    }
    assert!(conversation.finish(LAST.as_bytes()).is_ok());
}

#[test]
fn a_first_message_that_asks_for_what_is_not_offered_is_refused() {
    let name = |message: &str| username(message.as_bytes());
    assert_eq!(name("n,,n=user,r=x").as_deref(), Ok("user"));
    assert_eq!(name("y,,n=user,r=x").as_deref(), Ok("user"), "it knows that there is no channel binding");
    assert_eq!(name("n,a=user,n=user,r=x,ext=1").as_deref(), Ok("user"));
    assert_eq!(name("n,,n=a=2Cb=3Dc,r=x").as_deref(), Ok("a,b=c"));
    for message in [
        "p=tls-unique,,n=user,r=x",
        "n,a=other,n=user,r=x",
        "n,,m=x,n=user,r=x",
        "n,,n=,r=x",
        "n,,n=us=2Xer,r=x",
        "n,,n=us=er,r=x",
        "n,,n=us\u{e9}r,r=x",
        "n,,n=us\u{1}r,r=x",
        "n,,n=user,r=",
        "n,,n=user,r=a b",
        "n,,n=user",
        "n,n=user,r=x",
        "n",
        "",
    ] {
        assert_eq!(name(message), Err(Refused), "{message}");
    }
    assert_eq!(username(&[b"n,,n=user,r=", &[b'x'; 600][..]].concat()), Err(Refused));
    assert_eq!(username(b"n,,n=\xFF,r=x"), Err(Refused));
}

#[test]
fn a_credential_is_read_as_it_is_written() {
    for mechanism in Mechanism::ALL {
        let text = scram_credential(mechanism, "pencil").unwrap();
        assert!(text.starts_with(&format!("{}$4096:", mechanism.name())), "{text}");
        assert_eq!(Credential::parse(&text).unwrap().to_string(), text);
        assert_ne!(scram_credential(mechanism, "pencil").unwrap(), text, "each has its salt");
    }
    let text = pencil().to_string();
    assert_eq!(Credential::parse(&text.replace("4096", "4095")), Err(ScramError::Iterations));
    assert_eq!(Credential::parse(&text.replace("4096", "4294967295")), Err(ScramError::Iterations));
    for form in
        ["", "SCRAM-SHA-256", &text.replace("256", "1"), &text.replace("256", "512"), &text[..text.len() - 4]]
    {
        assert_eq!(Credential::parse(form), Err(ScramError::Form), "{form}");
    }
    assert_eq!(scram_credential(Mechanism::Sha256, "p\u{e9}ncil"), Err(ScramError::NotPlain));
}

#[test]
fn a_user_that_is_not_there_looks_like_one_that_is() {
    let known = pencil();
    let secret = known.secret();
    let (one, other) = (known.pretend("eve", &secret), known.pretend("mallory", &secret));
    assert_eq!(one, known.pretend("eve", &secret));
    assert_ne!(one.salt_text(), other.salt_text());
    assert_eq!((one.salt_text().len(), one.iterations), (known.salt_text().len(), known.iterations));
    let long = Credential::derive(Mechanism::Sha256, b"pencil", &[7; 96], 4096).pretend("eve", &secret);
    let salt = long.salt_text();
    assert_eq!(salt.len(), 128);
    let bytes = STANDARD.decode(&salt).unwrap();
    assert_ne!(bytes[..32], bytes[32..64], "a salt that repeats itself would give it away");
    let (conversation, _) = Conversation::begin(FIRST, one, OUR_NONCE).unwrap();
    assert_eq!(conversation.finish(LAST.as_bytes()), Err(Refused));
}

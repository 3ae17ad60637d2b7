use super::*;

fn any() -> ProxyConfig {
    ProxyConfig { v1: true, v2: true, sources: Vec::new(), timeout: Duration::from_secs(5) }
}

/// Reads a header as a socket would give it: never more than was asked for; returns what it took too.
fn read(config: &ProxyConfig, bytes: &[u8]) -> Result<(Told, usize), Fault> {
    let mut taken = 0;
    loop {
        match config.parse(&bytes[..taken])? {
            Progress::Whole(told) => return Ok((told, taken)),
            Progress::More(more) => {
                assert!(more > 0);
                taken += more;
                assert!(taken <= bytes.len(), "asks for more than there is");
            }
        }
    }
}

fn client(address: &str) -> Told {
    Told::Client { address: address.parse().unwrap(), secured: None }
}

#[test]
fn no_byte_behind_a_header_is_taken() {
    let cases: [(&[u8], Told); 4] = [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\r\n", client("192.0.2.7:56324")),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 1883\r\n", client("[2001:db8::7]:56324")),
        (b"PROXY UNKNOWN\r\n", Told::Unknown),
        (b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n", Told::Unknown),
    ];
    for (header, told) in cases {
        let bytes = [header, b"\x10\x0d\0\x04MQTT"].concat();
        assert_eq!(read(&any(), &bytes), Ok((told, header.len())));
    }
}

/// Version 2: the command, the family, and what follows.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2, &[command, family], &length, rest].concat()
}

#[test]
fn version_2_tells_the_client_of_ip_and_nobody_of_local_and_unspecified() {
    let v4 = v2(0x21, 0x11, b"\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x07\x5b");
    let v6 = [[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]; 2].concat();
    let v6 = v2(0x21, 0x21, &[&v6[..], b"\xdc\x04\x07\x5b"].concat());
    let cases = [
        (v4, client("192.0.2.7:56324")),
        (v6, client("[2001:db8::7]:56324")),
        (v2(0x20, 0x00, b""), Told::Local),
        (v2(0x20, 0x11, b"\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x07\x5b"), Told::Local),
        (v2(0x21, 0x00, b""), Told::Unknown),
        (v2(0x21, 0x31, &[7; 216]), Told::Unknown),
    ];
    for (header, told) in cases {
        let bytes = [&header[..], b"\x10\x0d"].concat();
        assert_eq!(read(&any(), &bytes), Ok((told, header.len())));
    }
}

#[test]
fn version_2_tells_what_secures_the_client() {
    let tlv = |kind: u8, value: &[u8]| [&[kind, 0, value.len() as u8][..], value].concat();
    let ssl = |client: u8, verify: u8| {
        let parts =
            [tlv(0x21, b"TLSv1.3"), tlv(0x22, b"dev,1"), tlv(0x23, b"TLS_AES_128_GCM_SHA256")].concat();
        tlv(0x20, &[&[client, 0, 0, 0, verify][..], &parts].concat())
    };
    let told = |ssl: Vec<u8>| {
        let rest = [b"\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x07\x5b", &ssl[..], &tlv(0x02, b"mqtt.example")]
            .concat();
        match read(&any(), &v2(0x21, 0x11, &rest)) {
            Ok((Told::Client { secured, .. }, _)) => secured,
            other => panic!("{other:?}"),
        }
    };
    let secured = told(ssl(3, 0)).unwrap();
    assert_eq!((&*secured.version, &*secured.cipher), ("TLS 1.3", "TLS_AES_128_GCM_SHA256"));
    assert_eq!(secured.server_name.as_deref(), Some("mqtt.example"));
    let certificate = secured.certificate.unwrap();
    assert_eq!(certificate.common_name.as_deref(), Some("dev,1"));
    assert_eq!(&*certificate.subject, "CN=dev\\,1");
    assert_eq!(told(ssl(1, 0)).unwrap().certificate, None, "no certificate was shown");
    assert_eq!(told(ssl(3, 1)).unwrap().certificate, None, "it was not verified");
    assert_eq!(told(ssl(0, 0)), None, "no TLS");
}

#[test]
fn what_is_no_header_is_known_by_its_first_bytes() {
    let refused = |config: &ProxyConfig, bytes: &[u8]| config.parse(bytes).unwrap_err().detail;
    assert_eq!(refused(&any(), b"\x10"), "there is no PROXY header");
    assert_eq!(refused(&any(), b"\x16\x03"), "there is no PROXY header");
    assert_eq!(refused(&any(), b"PROXX"), "there is no PROXY header");
    assert_eq!(refused(&any(), b"\r\n\r\n\0\r\nQUIX"), "there is no PROXY header");
    let (v1, v2_only) = (ProxyConfig { v2: false, ..any() }, ProxyConfig { v1: false, ..any() });
    assert_eq!(refused(&v2_only, b"PR"), "the header is of version 1, which is not taken here");
    assert_eq!(refused(&v1, b"\r\n"), "the header is of version 2, which is not taken here");
    assert_eq!(any().parse(b""), Ok(Progress::More(1)));
}

#[test]
fn faulty_and_endless_headers_are_refused() {
    let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
    let mut huge = v2(0x21, 0x11, &[0; 12]);
    huge[14..16].copy_from_slice(&[0xff, 0xff]);
    let faulty: [Vec<u8>; 8] = [
        long,
        huge,
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 99999\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::7 2001:db8::1 56324 1883\r\n".to_vec(),
        b"PROXY UDP4 192.0.2.7 198.51.100.1 56324 1883\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 1883\n..".to_vec(),
        v2(0x11, 0x11, &[0; 12]),
        v2(0x21, 0x12, &[0; 12]),
    ];
    for bytes in faulty {
        let outcome = read(&any(), &bytes);
        assert_eq!(outcome.map_err(|fault| fault.reason), Err(Reason::ProxyHeaderInvalid), "{bytes:?}");
    }
}

#[test]
fn only_proxies_are_believed() {
    let at = |text: &str| Address::Socket(text.parse().unwrap());
    assert!(any().trusts(&at("127.0.0.1:1")) && any().trusts(&Address::Unix));
    assert!(!any().trusts(&at("10.0.0.1:1")));
    let config = ProxyConfig { sources: vec!["10.0.0.0/8".parse().unwrap()], ..any() };
    assert!(config.trusts(&at("10.0.0.1:1")) && !config.trusts(&at("127.0.0.1:1")));
}

use std::sync::LazyLock;

use bus::{ContentFormat, Qos, Request, Transport};
use harness::{Bench, delivery};
use lwm2m::{Config, Lwm2m, Lwm2mPath, ObjectModel};

use super::coap;
use crate::Target;
use crate::conversation::{PAYLOADS, converse, datagrams, joined, small_limits};
use crate::target::owned;

pub(crate) const TARGETS: [Target; 4] = [
    Target { name: "lwm2m_connection", run: connection, seeds: conversations },
    Target { name: "lwm2m_answers", run: answers, seeds: answer_seeds },
    Target { name: "lwm2m_formats", run: formats, seeds: format_seeds },
    Target { name: "lwm2m_paths", run: paths, seeds: path_seeds },
];

static MODEL: LazyLock<ObjectModel> = LazyLock::new(ObjectModel::standard);

/// `POST /rd?ep=d&lwm2m=1.1` with two objects.
const REGISTER: &[u8] = b"\x41\x02\x00\x01\xAA\xB2rd\x11\x28\x34ep=d\x09lwm2m=1.1\xFF</1/0>,</3/0>,</3303/0>";

static PROTOCOL: LazyLock<Lwm2m> = LazyLock::new(|| {
    let config = Config { auto_observe: vec![Lwm2mPath::object(3303)], ..Config::default() };
    Lwm2m::new(config, ::coap::Config::default(), small_limits())
});

fn connection(input: &[u8]) {
    converse(&*PROTOCOL, Transport::Datagram, datagrams(input));
}

fn conversations() -> Vec<Vec<u8>> {
    let registered =
        |then: Vec<u8>| joined(&[REGISTER, &then, b"\x40\x00\x00\x09", b"\x40\x00\x00\x0A", &then]);
    let alone = [
        joined(&[REGISTER, REGISTER]),
        joined(&[b"\x41\x02\x00\x05\xAA\xB2bs\x44ep=d"]),
        joined(&[b"\x41\x02\x00\x06\xAA\xB2dp\x11\x6E\xFF[{\"bn\":\"/3/0/9\",\"v\":95}]"]),
    ];
    coap::messages().into_iter().map(registered).chain(alone).collect()
}

/// A registered device is given a command (the first byte chooses it) and answers with a code (the second) and
/// options and payload (the rest), twice, for an observation goes on.
fn answers(input: &[u8]) {
    let [command, code, rest @ ..] = input else { return };
    let mut bench = Bench::new(&*PROTOCOL, Transport::Datagram);
    bench.receive(REGISTER);
    while let Some(request) = bench.requests.front() {
        match request.1 {
            Request::Connect(_) => drop(bench.accept_connect(false)),
            Request::Subscribe(_) => {
                let (ticket, _) = bench.request();
                bench.reply(ticket, bus::Reply::Subscribed(vec![Ok(Qos::AtLeastOnce)]));
            }
            _ => drop(bench.request()),
        }
    }
    if bench.connection.room() > 0 {
        let payload = PAYLOADS[usize::from(*command) % PAYLOADS.len()];
        bench.deliver(delivery(1, 0, "lwm2m/d/dn", payload, Qos::AtLeastOnce, bench.now));
    }
    let sent: Vec<Vec<u8>> = bench.sent.drain(..).map(|(_, bytes)| bytes).collect();
    for request in sent
        .iter()
        .filter_map(|bytes| ::coap::Message::decode(bytes).ok())
        .filter(|it| it.code().is_request())
    {
        let token = request.token();
        for (kind, id) in [(0x60, request.id()), (0x40, 7)] {
            let head = [kind | token.as_slice().len() as u8, *code, (id >> 8) as u8, id as u8];
            bench.receive(&[&head, token.as_slice(), rest].concat());
        }
    }
    assert!(bench.requests.len() <= 64, "{} requests for two answers", bench.requests.len());
}

fn answer_seeds() -> Vec<Vec<u8>> {
    owned(&[
        &b"\x01\x45\xC0\xFFConfluence"[..],
        b"\x01\x45\xC2\x2D\x16\xFF\xC8\x00\x0AConfluence",
        b"\x02\x45\x61\x05\x62\x2D\x16\xFF\xE4\x16\x44\x41\xAC\x00\x00",
        b"\x02\x45\x61\x05\x61\x6E\xFF[{\"bn\":\"/3303/0/5700\",\"v\":23.5}]",
        b"\x03\x45\xC1\x28\xFF</3>,</3/0>;pmin=10,</3/0/0>",
        b"\x04\x44",
        b"\x05\x44",
        b"\x01\x84",
        b"\x01\x45\xC0\xB1\x08\xFFpart of it, more to come",
        b"\x00\x00",
    ])
}

/// The first byte chooses the path, the rest is read in every format.
fn formats(input: &[u8]) {
    let Some((first, payload)) = input.split_first() else { return };
    let paths = ["/3", "/3/0", "/3/0/0", "/3/0/7/0", "/65534/1/2"];
    let path = Lwm2mPath::parse(paths[usize::from(*first) % paths.len()]).expect("a path");
    let formats = [
        ContentFormat::TEXT,
        ContentFormat::OCTET_STREAM,
        ContentFormat::LWM2M_TLV,
        ContentFormat::LWM2M_JSON,
        ContentFormat::SENML_JSON,
    ];
    for format in formats {
        if let Ok(nodes) = lwm2m::decode(Some(format), path, payload, &MODEL) {
            assert!(nodes.len() <= payload.len().max(1), "more values than bytes");
        }
    }
}

fn format_seeds() -> Vec<Vec<u8>> {
    owned(&[
        &b"\x02Open Mobile Alliance"[..],
        b"\x01\xC8\x00\x14Open Mobile Alliance\xC1\x0D\x01\x86\x06\x41\x00\x01\x41\x01\x05",
        b"\x00\x08\x00\x11\xC8\x00\x0EWatersmeet dev",
        b"\x01\xC4\x09\x00\x00\x00\x64\xC1\x0A\x0F\x83\x0B\x41\x00\x00\xC4\x0D\x51\x82\x42\x8F",
        b"\x01{\"bn\":\"/3/0/\",\"e\":[{\"n\":\"0\",\"sv\":\"OMA\"},{\"n\":\"9\",\"v\":100},{\"n\":\"6\",\"bv\":true}]}",
        b"\x01[{\"bn\":\"/3/0/\",\"n\":\"0\",\"vs\":\"OMA\"},{\"n\":\"9\",\"v\":95},{\"n\":\"2\",\"vd\":\"AAE\",\"t\":-5}]",
        b"\x0395",
    ])
}

fn paths(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(path) = Lwm2mPath::parse(text) {
        assert!(path.is_within(path));
        assert_eq!(path.ids().count(), path.levels());
    }
}

fn path_seeds() -> Vec<Vec<u8>> {
    owned(&["/3/0/7/1", "/3303/0", "3", "/65535", "//1"])
}

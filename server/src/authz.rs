use std::net::IpAddr;

use access::{AuthChain, ListedBan};
use anyhow::{Context, anyhow};
use broker::{Access, Attempt};
use bus::{Address, ClientId, Credentials, Filter, Link, Peer, Qos, Topic, Transport};

use crate::cli::{Explain, Wanted};
use crate::config::Config;

/// What clients speak, as rules name it.
const PROTOCOLS: [&str; 10] = [
    "MQTT 5",
    "MQTT 3.1.1",
    "MQTT 3.1",
    "MQTT-SN 1.2",
    "CoAP",
    "LwM2M 1.0",
    "LwM2M 1.1",
    "STOMP 1.0",
    "STOMP 1.1",
    "STOMP 1.2",
];

/// How the configuration judges one access of a client, step by step.
pub(crate) fn explain(config: &Config, options: &Explain) -> anyhow::Result<String> {
    let access = AuthChain::new(&config.access)?;
    let attempt = attempt(options)?;
    let client = match access.presume(&attempt) {
        Ok(client) => client,
        Err(reason) => {
            let cause = reason.explain().trim_end_matches('.');
            let ban = access.ban_of(&attempt).map(|ListedBan { ban, place }| {
                format!("  {place}: {} {:?} {}\n", ban.kind.name(), ban.value, ban.reason)
            });
            return Ok(format!("The client would not be let in: {cause}.\n{}", ban.unwrap_or_default()));
        }
    };
    let qos =
        Qos::from_level(options.qos).ok_or_else(|| anyhow!("--qos: there is no QoS {}", options.qos))?;
    let Wanted { publish, subscribe, receive } = &options.wanted;
    // Rules see topics as they are below the mountpoint.
    let mountpoint = client.identity.mountpoint.as_deref().unwrap_or_default();
    let mounted = |text: &str| match text.split('/').next() {
        Some("$SYS") => text.to_owned(),
        _ => format!("{mountpoint}{text}"),
    };
    let topic = |name: &Option<String>| name.as_deref().map(|name| Topic::parse(&mounted(name))).transpose();
    let publish = topic(publish).context("--publish: the topic")?;
    let receive = topic(receive).context("--receive: the topic")?;
    let filter = |text: &String| {
        let filter = Filter::parse(text)?;
        filter.with_pattern(&mounted(filter.pattern()))
    };
    let subscribe = subscribe.as_ref().map(filter).transpose().context("--subscribe: the topic filter")?;
    let wanted = match (&publish, &subscribe, &receive) {
        (Some(topic), _, _) => Access::Publish { topic, qos, retain: options.retain },
        (_, Some(filter), _) => Access::Subscribe { filter, qos },
        (_, _, Some(topic)) => Access::Receive { topic },
        _ => return Err(anyhow!("say what is wanted: --publish, --subscribe or --receive")),
    };
    let mut text = String::new();
    for (name, value) in client.identity.attributes.iter().flat_map(|attributes| attributes.iter()) {
        text.push_str(&format!("attribute {name} = {value:?}\n"));
    }
    if !mountpoint.is_empty() {
        text.push_str(&format!("mountpoint {mountpoint:?}\n"));
    }
    Ok(text + &access.explain(&client, wanted).to_string())
}

fn attempt(options: &Explain) -> anyhow::Result<Attempt> {
    let id = options.client_id.as_str();
    let client_id = ClientId::parse(id).ok_or_else(|| anyhow!("--client-id: {id:?} is no client id"))?;
    let ip: IpAddr = options.address.parse().with_context(|| format!("--address: {:?}", options.address))?;
    let property = |text: &String| {
        let (name, value) =
            text.split_once('=').ok_or_else(|| anyhow!("--user-property: write NAME=VALUE, not {text:?}"))?;
        Ok((name.into(), value.into()))
    };
    let properties: anyhow::Result<Vec<_>> = options.user_properties.iter().map(property).collect();
    let username = options.username.as_deref().map(Into::into);
    let named = |name: &&&str| name.eq_ignore_ascii_case(&options.protocol);
    let protocol = PROTOCOLS.iter().find(named);
    let protocol = protocol.ok_or_else(|| anyhow!("--protocol: known are {}", PROTOCOLS.join(", ")))?;
    Ok(Attempt {
        client_id: Some(client_id),
        credentials: Credentials { username, ..Credentials::default() },
        user_properties: properties?.into(),
        peer: Peer {
            address: Address::Socket((ip, 0).into()),
            listener: options.listener.as_str().into(),
            transport: Transport::Stream,
            seed: 0,
            link: Link::default(),
        },
        protocol,
    })
}

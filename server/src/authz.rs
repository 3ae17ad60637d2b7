use std::net::IpAddr;
use std::sync::Arc;

use access::{AuthChain, ListedBan};
use anyhow::{Context, anyhow};
use broker::{Access, Attempt, Broker, Hooks};
use bus::{Address, ClientId, Credentials, Filter, Link, Peer, Qos, Reason, Topic, Transport};
use rewrite::Rewrite;

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
    let topic = |name: &Option<String>| name.as_deref().map(Topic::parse).transpose();
    let publish = topic(publish).context("--publish: the topic")?;
    let receive = topic(receive).context("--receive: the topic")?;
    let subscribe = subscribe.as_deref().map(Filter::parse).transpose();
    let subscribe = subscribe.context("--subscribe: the topic filter")?;
    // Rules see topics rewritten, and with what stands before them.
    let broker = meaning(config, &access)?;
    let mountpoint = client.identity.mountpoint.as_deref().unwrap_or_default();
    let mounted = |topic: Topic| match topic.as_str() {
        system if system == "$SYS" || system.starts_with("$SYS/") => Ok(topic),
        name => Topic::parse(&format!("{mountpoint}{name}")),
    };
    let unmeant = |reason: Reason| anyhow!("no such topic can be meant: {}", reason.explain());
    let publish = publish.map(|topic| broker.meant_topic(&client, &topic)).transpose().map_err(unmeant)?;
    let subscribe = subscribe.map(|filter| broker.meant_filter(&client, filter));
    let subscribe = subscribe.transpose().map_err(unmeant)?;
    let receive = receive.map(mounted).transpose().context("--receive: the topic")?;
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

/// A broker that nobody uses, to ask what topics mean.
fn meaning(config: &Config, access: &AuthChain) -> anyhow::Result<Broker> {
    let authority = Arc::new(access.clone());
    let rewriter = Arc::new(Rewrite::new(&config.rewrite)?);
    let hooks = Hooks {
        authenticator: authority.clone(),
        authorizer: authority,
        rewriter: Some(rewriter),
        interceptors: Vec::new(),
    };
    Ok(Broker::new(config.broker.clone(), hooks, Vec::new()))
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
        }
        .into(),
        protocol,
    })
}

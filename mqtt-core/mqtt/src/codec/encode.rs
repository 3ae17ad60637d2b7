use bus::{RetainHandling, SubscribeOptions};

use super::{
    Connect, EncodeError, Packet, Properties, Publish, ReasonCode, SubAck, Subscribe, Unsubscribe, Version,
    write,
};

/// Appends a packet to `out`; on an error `out` is as it was.
pub fn encode(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let start = out.len();
    let kind = packet.kind();
    let flags = if let Packet::Publish(publish) = packet { publish_flags(publish) } else { kind.flags() };
    out.push((kind as u8) << 4 | flags);
    let written = write::measured(out, |out| body(packet, version, out));
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn body(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    match packet {
        Packet::Connect(packet) => connect(packet, out)?,
        Packet::ConnAck(packet) => {
            out.push(u8::from(packet.session_present && version != Version::V31));
            out.push(packet.code.0);
            properties(packet.properties, version, out);
        }
        Packet::Publish(packet) => publish(packet, version, out)?,
        Packet::PubAck(packet)
        | Packet::PubRec(packet)
        | Packet::PubRel(packet)
        | Packet::PubComp(packet) => {
            write::u16(out, packet.id.get());
            code_and_properties(packet.code, packet.properties, version, out);
        }
        Packet::Subscribe(packet) => subscribe(packet, version, out)?,
        Packet::SubAck(packet) => {
            suback(packet, version, out);
            out.extend(packet.codes.iter().map(|code| code.0));
        }
        Packet::Unsubscribe(packet) => unsubscribe(packet, version, out)?,
        Packet::UnsubAck(packet) => {
            suback(packet, version, out);
            if version == Version::V5 {
                out.extend(packet.codes.iter().map(|code| code.0));
            }
        }
        Packet::PingReq | Packet::PingResp => {}
        Packet::Disconnect(packet) => code_and_properties(packet.code, packet.properties, version, out),
        Packet::Auth(_) if version != Version::V5 => return Err(EncodeError::NotInVersion),
        Packet::Auth(packet) => code_and_properties(packet.code, packet.properties, version, out),
    }
    Ok(())
}

fn connect(packet: &Connect<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let version = packet.version;
    write::binary(out, if version == Version::V31 { b"MQIsdp" } else { b"MQTT" })?;
    out.push(version.level() | u8::from(packet.bridge && version != Version::V5) << 7);
    let will = packet.will.as_ref();
    let will_flags = will.map_or(0, |will| 1 << 2 | will.qos.level() << 3 | u8::from(will.retain) << 5);
    let clean_start = u8::from(packet.clean_start) << 1;
    let password = u8::from(packet.password.is_some()) << 6;
    let username = u8::from(packet.username.is_some()) << 7;
    out.push(will_flags | clean_start | password | username);
    write::u16(out, packet.keep_alive);
    properties(packet.properties, version, out);
    write::binary(out, packet.client_id.as_bytes())?;
    if let Some(will) = will {
        properties(will.properties, version, out);
        write::binary(out, will.topic.as_bytes())?;
        write::binary(out, will.payload)?;
    }
    if let Some(username) = packet.username {
        write::binary(out, username.as_bytes())?;
    }
    if let Some(password) = packet.password {
        write::binary(out, password)?;
    }
    Ok(())
}

fn publish_flags(packet: &Publish<'_>) -> u8 {
    u8::from(packet.duplicate) << 3 | packet.qos.level() << 1 | u8::from(packet.retain)
}

fn publish(packet: &Publish<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    write::binary(out, packet.topic.as_bytes())?;
    if let Some(id) = packet.id {
        write::u16(out, id.get());
    }
    properties(packet.properties, version, out);
    out.extend_from_slice(packet.payload);
    Ok(())
}

fn subscribe(packet: &Subscribe<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    write::u16(out, packet.id.get());
    properties(packet.properties, version, out);
    for (filter, options) in &packet.filters {
        write::binary(out, filter.as_bytes())?;
        out.push(subscribe_options(options, version));
    }
    Ok(())
}

fn subscribe_options(options: &SubscribeOptions, version: Version) -> u8 {
    if version != Version::V5 {
        return options.qos.level();
    }
    let retain_handling = match options.retain_handling {
        RetainHandling::Always => 0,
        RetainHandling::IfNew => 1,
        RetainHandling::Never => 2,
    };
    let no_local = u8::from(options.no_local) << 2;
    options.qos.level() | no_local | u8::from(options.retain_as_published) << 3 | retain_handling << 4
}

fn suback(packet: &SubAck<'_>, version: Version, out: &mut Vec<u8>) {
    write::u16(out, packet.id.get());
    properties(packet.properties, version, out);
}

fn unsubscribe(packet: &Unsubscribe<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    write::u16(out, packet.id.get());
    properties(packet.properties, version, out);
    for filter in &packet.filters {
        write::binary(out, filter.as_bytes())?;
    }
    Ok(())
}

fn properties(properties: Properties<'_>, version: Version, out: &mut Vec<u8>) {
    if version == Version::V5 {
        properties.write(out);
    }
}

/// Leaves out what says nothing.
fn code_and_properties(code: ReasonCode, properties: Properties<'_>, version: Version, out: &mut Vec<u8>) {
    if version != Version::V5 || (code == ReasonCode::SUCCESS && properties.is_empty()) {
        return;
    }
    out.push(code.0);
    if !properties.is_empty() {
        properties.write(out);
    }
}

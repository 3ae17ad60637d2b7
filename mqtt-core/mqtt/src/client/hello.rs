use bus::SessionExpiry;

use super::{ClientError, ClientOptions, say};
use crate::codec::{Connect, Packet, Property, PropertyBuffer, Version, Will, encode};
use crate::metadata::whole_seconds;

/// Writes the CONNECT that the options ask for.
pub(super) fn write(options: &ClientOptions, out: &mut Vec<u8>) -> Result<(), ClientError> {
    check(options)?;
    let mut properties = PropertyBuffer::default();
    let mut will_properties = PropertyBuffer::default();
    if options.version == Version::V5 {
        ask(options, &mut properties)?;
        if let Some(will) = &options.will {
            say(&will.publish, &mut will_properties)?;
            if !will.delay.is_zero() {
                will_properties.push(Property::WillDelayInterval(whole_seconds(will.delay)))?;
            }
        }
    }
    let will = options.will.as_ref().map(|will| Will {
        topic: will.publish.topic.as_str(),
        payload: &will.publish.payload,
        qos: will.publish.qos,
        retain: will.publish.retain,
        properties: will_properties.as_properties(),
    });
    let connect = Connect {
        version: options.version,
        bridge: options.bridge,
        clean_start: options.clean_start,
        keep_alive: options.keep_alive,
        client_id: &options.client_id,
        username: options.username.as_deref(),
        password: options.password.as_deref(),
        will,
        properties: properties.as_properties(),
    };
    Ok(encode(&Packet::Connect(connect), options.version, out)?)
}

/// What no server may be asked.
fn check(options: &ClientOptions) -> Result<(), ClientError> {
    let before_v5 = options.version != Version::V5;
    let texts = [Some(options.client_id.as_str()), options.username.as_deref()];
    let texts = texts.into_iter().flatten();
    let said = options.said.iter().flat_map(|(name, value)| [&**name, &**value]);
    if texts.chain(said).any(|text| text.contains('\0')) {
        return Err(ClientError::Misuse("text cannot hold U+0000")); // [MQTT-1.5.3-2], [MQTT-1.5.4-2]
    }
    if before_v5 && options.password.is_some() && options.username.is_none() {
        return Err(ClientError::Misuse("before MQTT 5 a password needs a user name")); // [MQTT-3.1.2-22]
    }
    if before_v5 && options.client_id.is_empty() && (!options.clean_start || options.version == Version::V31)
    {
        return Err(ClientError::Misuse("a session that is kept needs a client id")); // [MQTT-3.1.3-7]
    }
    Ok(())
}

fn ask(options: &ClientOptions, properties: &mut PropertyBuffer) -> Result<(), ClientError> {
    if options.session_expiry != SessionExpiry::AtOnce {
        properties.push(Property::SessionExpiryInterval(options.session_expiry.seconds()))?;
    }
    properties.push(Property::ReceiveMaximum(options.receive_maximum.max(1)))?;
    let size = u32::try_from(options.packet_maximum).unwrap_or(u32::MAX).max(1);
    properties.push(Property::MaximumPacketSize(size))?;
    if options.topic_alias_maximum > 0 {
        properties.push(Property::TopicAliasMaximum(options.topic_alias_maximum))?;
    }
    if options.request_response_information {
        properties.push(Property::RequestResponseInformation(true))?;
    }
    if !options.request_problem_information {
        properties.push(Property::RequestProblemInformation(false))?;
    }
    for (name, value) in &options.said {
        properties.push(Property::UserProperty(name, value))?;
    }
    if let Some(step) = &options.authentication {
        properties.push(Property::AuthenticationMethod(&step.method))?;
        if !step.data.is_empty() {
            properties.push(Property::AuthenticationData(&step.data))?;
        }
    }
    Ok(())
}

use bus::SessionExpiry;

use super::{ClientError, ClientOptions, say};
use crate::codec::{Connect, Packet, Property, PropertyBuffer, Version, Will, encode};
use crate::metadata::whole_seconds;

/// Writes the CONNECT that the options ask for.
pub(super) fn write(options: &ClientOptions, out: &mut Vec<u8>) -> Result<(), ClientError> {
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

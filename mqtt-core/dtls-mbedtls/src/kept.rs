//! What a session is outside its engine: what is known of it, and its context, which Mbed TLS alone can read.

use dtls::Input;
use ring::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::session::Known;

/// A session that was read back.
pub(crate) struct Kept {
    pub(crate) room: u16,
    pub(crate) connection: Option<Box<[u8]>>,
    pub(crate) context: Zeroizing<Vec<u8>>,
}

/// The length of what shows that it is whole.
const DIGEST: usize = 32;

/// The session as bytes.
pub(crate) fn encode(known: &Known, context: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let connection = known.connection.as_deref().unwrap_or_default();
    let mut state = Zeroizing::new(Vec::with_capacity(3 + connection.len() + context.len() + DIGEST));
    state.extend(known.room.to_be_bytes());
    state.push(u8::try_from(connection.len()).ok()?);
    state.extend(connection);
    state.extend(context);
    let digest = digest(&SHA256, &state);
    state.extend(digest.as_ref());
    Some(state)
}

/// Reads what [`encode`] wrote. Mbed TLS trusts what it has saved, so that what was damaged must not reach it.
pub(crate) fn decode(state: &[u8]) -> Option<Kept> {
    let (state, sum) = state.split_last_chunk::<DIGEST>()?;
    (digest(&SHA256, state).as_ref() == sum).then_some(())?;
    let mut input = Input(state);
    let room = u16::from_be_bytes(input.array()?);
    let length = input.byte()?;
    let connection = input.take(usize::from(length))?;
    let connection = (!connection.is_empty()).then(|| Box::from(connection));
    Some(Kept { room, connection, context: Zeroizing::new(input.0.to_vec()) })
}

use std::collections::VecDeque;

use bytes::Bytes;

use crate::{Ack, DeliveryId, Lane, PeerName, Publish, Reason, Request, Ticket, Transport};

/// Payloads from this size on leave a stream by vectored write, without a copy.
const SHARE_FROM: usize = 4 * 1024;

/// A connection stops taking frames when this much waits to be done or sent.
const FULL_ACTIONS: usize = 32;
const FULL_BYTES: usize = 64 * 1024;

/// What a connection wants sent and done. The driver owns it, lends it for every call and performs it after.
///
/// Bytes keep their order among themselves, and actions among themselves; all bytes are sent before a
/// [`Action::Close`] is carried out.
#[derive(Debug)]
pub struct Outbox {
    transport: Transport,
    lane: Lane,
    bytes: Vec<u8>,
    /// Ends of datagrams, changes of lane and shared payloads, in order of `end`; empty on a plain stream.
    cuts: Vec<Cut>,
    actions: VecDeque<Action>,
    frames: Frames,
}

/// How many frames went each way since it was last asked, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Frames of the peer.
    pub received: u32,
    /// Frames for the peer.
    pub sent: u32,
}

/// What else a connection wants done.
#[derive(Debug)]
pub enum Action {
    /// Ask the broker.
    Request(Ticket, Request),
    /// Tell the session what became of a delivery.
    Ack(DeliveryId, Ack),
    /// Count a delivery without an id that the peer cannot have.
    Lost(Reason),
    /// Let datagrams with this name reach this connection from whatever address.
    Claim(PeerName),
    /// Give a claimed name up.
    Disclaim(PeerName),
    /// Close the transport once everything is sent.
    Close(Reason),
}

/// A run of bytes for one lane: a whole datagram, or part of a stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Where it goes.
    pub lane: Lane,
    /// What goes first.
    pub bytes: &'a [u8],
    /// What follows immediately.
    pub shared: Option<&'a Bytes>,
}

#[derive(Debug)]
struct Cut {
    end: usize,
    lane: Lane,
    shared: Option<Bytes>,
}

impl Outbox {
    /// An empty outbox for a transport.
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            lane: Lane::MAIN,
            bytes: Vec::new(),
            cuts: Vec::new(),
            actions: VecDeque::new(),
            frames: Frames::default(),
        }
    }

    /// What it goes out by.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The lane the input came from, and on which frames are sent unless changed.
    pub fn lane(&self) -> Lane {
        self.lane
    }

    /// Sends what follows on this lane.
    pub fn switch_lane(&mut self, lane: Lane) {
        if self.lane != lane {
            self.cut(None);
            self.lane = lane;
        }
    }

    /// Sends one frame; on a datagram transport, one datagram.
    pub fn send(&mut self, frame: &[u8]) {
        self.write(|buffer| buffer.extend_from_slice(frame));
    }

    /// Sends one frame that `encode` appends to the buffer. `encode` must leave what is there alone.
    pub fn write(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        self.frames.sent += 1;
        encode(&mut self.bytes);
        if self.transport == Transport::Datagram {
            self.cut(None);
        }
    }

    /// Sends one frame that ends with `payload`, without copying a large payload where the transport can.
    pub fn write_with_payload(&mut self, payload: &Bytes, encode: impl FnOnce(&mut Vec<u8>)) {
        self.frames.sent += 1;
        encode(&mut self.bytes);
        if self.transport == Transport::Stream && payload.len() >= SHARE_FROM {
            return self.cut(Some(payload.clone()));
        }
        self.bytes.extend_from_slice(payload);
        if self.transport == Transport::Datagram {
            self.cut(None);
        }
    }

    /// Sends so many whole frames of a stream that `encode` appends to the buffer.
    pub fn write_frames(&mut self, frames: usize, encode: impl FnOnce(&mut Vec<u8>)) {
        debug_assert_eq!(self.transport, Transport::Stream, "a datagram holds one frame");
        self.frames.sent += frames as u32;
        encode(&mut self.bytes);
    }

    /// Sends the end of a stream's frame whose beginning was sent just before.
    pub fn finish(&mut self, end: &[u8]) {
        self.bytes.extend_from_slice(end);
    }

    /// Counts a whole frame that a stream's peer has sent; a datagram is counted without this.
    pub fn count_received(&mut self) {
        self.frames.received += 1;
    }

    /// Asks the broker; the reply carries the ticket.
    pub fn request(&mut self, ticket: Ticket, request: Request) {
        self.actions.push_back(Action::Request(ticket, request));
    }

    /// Tells the session what became of a delivery.
    pub fn ack(&mut self, delivery: DeliveryId, ack: Ack) {
        self.actions.push_back(Action::Ack(delivery, ack));
    }

    /// Says that the peer cannot have a delivery, and why; it is done, and counted.
    pub fn reject(&mut self, delivery: Option<DeliveryId>, reason: Reason) {
        self.actions.push_back(match delivery {
            Some(id) => Action::Ack(id, Ack::Reject(reason)),
            None => Action::Lost(reason),
        });
    }

    /// Lets datagrams with this name reach this connection from whatever address.
    pub fn claim(&mut self, name: PeerName) {
        self.actions.push_back(Action::Claim(name));
    }

    /// Gives a claimed name up.
    pub fn disclaim(&mut self, name: PeerName) {
        self.actions.push_back(Action::Disclaim(name));
    }

    /// Closes the transport once everything is sent.
    pub fn close(&mut self, reason: Reason) {
        self.actions.push_back(Action::Close(reason));
    }

    /// Whether enough is under way: a stream's connection takes no further frame now, and is called again with
    /// the rest once this is done. It keeps a burst in the processor's cache and bounds what a read can ask.
    pub fn is_full(&self) -> bool {
        self.actions.len() >= FULL_ACTIONS || self.bytes.len() >= FULL_BYTES
    }

    /// For the driver: the next thing to do.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// For the driver: whether several publishes are to be done next.
    pub fn begins_with_publishes(&self) -> bool {
        let is_publish = |at| matches!(self.actions.get(at), Some(Action::Request(_, Request::Publish(_))));
        is_publish(0) && is_publish(1)
    }

    /// For the driver: takes the publishes that are to be done next, as far as nothing else comes between them.
    pub fn take_publishes(&mut self, run: &mut VecDeque<(Ticket, Publish)>) {
        let is_publish = |action: &mut Action| matches!(action, Action::Request(_, Request::Publish(_)));
        while let Some(Action::Request(ticket, Request::Publish(publish))) =
            self.actions.pop_front_if(is_publish)
        {
            run.push_back((ticket, publish));
        }
    }

    /// For the driver: whether several acknowledgements are to be noted next.
    pub fn begins_with_acks(&self) -> bool {
        let is_ack = |at| matches!(self.actions.get(at), Some(Action::Ack(..)));
        is_ack(0) && is_ack(1)
    }

    /// For the driver: takes the acknowledgements that are to be noted next, as far as nothing else comes between them.
    pub fn take_acks(&mut self, run: &mut Vec<(DeliveryId, Ack)>) {
        let is_ack = |action: &mut Action| matches!(action, Action::Ack(..));
        while let Some(Action::Ack(id, ack)) = self.actions.pop_front_if(is_ack) {
            run.push((id, ack));
        }
    }

    /// For the driver: gives publishes back, to be done next all the same.
    pub fn put_back(&mut self, run: &mut VecDeque<(Ticket, Publish)>) {
        while let Some((ticket, publish)) = run.pop_back() {
            self.actions.push_front(Action::Request(ticket, Request::Publish(publish)));
        }
    }

    /// For the driver: how many frames went each way since it last asked.
    pub fn take_frames(&mut self) -> Frames {
        std::mem::take(&mut self.frames)
    }

    /// For the driver: whether nothing is to be sent.
    pub fn nothing_to_send(&self) -> bool {
        self.bytes.is_empty() && self.cuts.is_empty()
    }

    /// For the driver: how many bytes are to be sent.
    pub fn pending_bytes(&self) -> usize {
        let shared: usize = self.cuts.iter().filter_map(|cut| cut.shared.as_ref()).map(Bytes::len).sum();
        self.bytes.len() + shared
    }

    /// For the driver: what is to be sent, in order. On a datagram transport each chunk is a datagram.
    pub fn chunks(&self) -> impl Iterator<Item = Chunk<'_>> {
        let tail = self.cuts.last().map_or(0, |cut| cut.end);
        let starts = std::iter::once(0).chain(self.cuts.iter().map(|cut| cut.end));
        let cut = self.cuts.iter().zip(starts).map(|(cut, start)| Chunk {
            lane: cut.lane,
            bytes: self.bytes.get(start..cut.end).unwrap_or_default(),
            shared: cut.shared.as_ref(),
        });
        let rest = self.bytes.get(tail..).unwrap_or_default();
        let last = (!rest.is_empty()).then_some(Chunk { lane: self.lane, bytes: rest, shared: None });
        cut.chain(last)
    }

    /// For the driver: forgets what was sent, keeping the buffer, and goes back to the main lane.
    pub fn clear_sent(&mut self) {
        self.bytes.clear();
        self.cuts.clear();
        self.lane = Lane::MAIN;
    }

    fn cut(&mut self, shared: Option<Bytes>) {
        let end = self.bytes.len();
        let start = self.cuts.last().map_or(0, |cut| cut.end);
        if end > start || shared.is_some() {
            self.cuts.push(Cut { end, lane: self.lane, shared });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(out: &Outbox) -> Vec<(u32, Vec<u8>)> {
        let whole = |chunk: Chunk<'_>| [chunk.bytes, chunk.shared.map_or(&[][..], |shared| shared)].concat();
        out.chunks().map(|chunk| (chunk.lane.0, whole(chunk))).collect()
    }

    #[test]
    fn a_stream_joins_frames_and_a_datagram_transport_keeps_them_apart() {
        let mut stream = Outbox::new(Transport::Stream);
        let mut datagrams = Outbox::new(Transport::Datagram);
        for out in [&mut stream, &mut datagrams] {
            out.send(b"ab");
            out.write_with_payload(&Bytes::from_static(b"d"), |buffer| buffer.push(b'c'));
        }
        assert_eq!(sent(&stream), [(0, b"abcd".to_vec())]);
        assert_eq!(sent(&datagrams), [(0, b"ab".to_vec()), (0, b"cd".to_vec())]);
    }

    #[test]
    fn a_large_payload_is_shared_and_lanes_stay_apart() {
        let payload = Bytes::from(vec![7; SHARE_FROM]);
        let mut out = Outbox::new(Transport::Stream);
        out.write_with_payload(&payload, |buffer| buffer.push(1));
        out.send(b"x");
        out.switch_lane(Lane(4));
        out.send(b"y");
        assert_eq!(out.pending_bytes(), SHARE_FROM + 3);
        let sent = sent(&out);
        assert_eq!(sent[0].1.len(), SHARE_FROM + 1);
        assert_eq!(sent[1..], [(0, b"x".to_vec()), (4, b"y".to_vec())]);
        out.clear_sent();
        assert!(out.nothing_to_send() && out.lane() == Lane::MAIN);
    }
}

use std::cell::RefCell;
use std::time::Instant;

use dtls::{EngineError, Identity, Refusal, Settings, StreamAcceptor, StreamError, StreamSession};

use crate::ffi::{Carrier, Config, Context, Failure, LONGEST_IN, LONGEST_OUT, Read, Step};
use crate::{outcome, settings};

/// Begins sessions on the streams of a listener.
pub(crate) struct MbedAcceptor {
    settings: Settings,
}

/// One session on a stream, with a configuration of its own.
struct MbedStream {
    context: Context,
    state: State,
    output: Vec<Vec<u8>>,
    plaintext: Vec<u8>,
}

enum State {
    Handshaking,
    Open(Identity),
    /// The peer has said good-bye.
    Closed(Identity),
    Failed(StreamError),
}

thread_local! {
    /// Where one record is decrypted to.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; LONGEST_IN].into_boxed_slice());
}

// SAFETY: what is not `Send` in it are its context and configuration, which nothing else shares, so that they move
// together, and one thread at a time uses them. Mbed TLS keeps nothing by thread.
unsafe impl Send for MbedStream {}

impl MbedAcceptor {
    pub(crate) fn new(settings: &Settings) -> Result<Self, EngineError> {
        settings::check(settings)?;
        let acceptor = Self { settings: settings.clone() };
        acceptor.accept()?;
        Ok(acceptor)
    }
}

impl StreamAcceptor for MbedAcceptor {
    fn accept(&self) -> Result<Box<dyn StreamSession>, EngineError> {
        let now = Instant::now();
        let config = Config::server(&self.settings, Carrier::Stream, None, now)?;
        let context = Context::new(&config, &[], now);
        let context = context.map_err(|failure| EngineError::Machine(failure.to_string()))?;
        Ok(Box::new(MbedStream {
            context,
            state: State::Handshaking,
            output: Vec::new(),
            plaintext: Vec::new(),
        }))
    }
}

impl MbedStream {
    fn take(&mut self, ciphertext: &[u8]) -> Result<(), StreamError> {
        let now = Instant::now();
        let mut input = ciphertext;
        if let State::Handshaking = self.state {
            // The last message of the handshake may have data behind it, which is read below.
            let (step, taken) = self.context.handshake_on_stream(input, now, &mut self.output);
            input = input.get(taken..).unwrap_or_default();
            match step {
                Step::Waiting => return Ok(()),
                Step::Failed(failure) => {
                    return Err(StreamError::Refused(outcome::refusal(&self.context, failure)));
                }
                Step::Done => {
                    let identity = outcome::identity(&self.context, outcome::TLS);
                    self.state = State::Open(identity.map_err(StreamError::Refused)?);
                }
            }
        }
        BUFFER.with_borrow_mut(|buffer| self.decrypt(input, buffer, now))
    }

    fn decrypt(&mut self, mut input: &[u8], buffer: &mut [u8], now: Instant) -> Result<(), StreamError> {
        loop {
            let (read, taken) = self.context.read_on_stream(input, now, &mut self.output, buffer);
            input = input.get(taken..).unwrap_or_default();
            match read {
                Read::Plaintext(length) => self.plaintext.extend(buffer.get(..length).unwrap_or_default()),
                Read::Nothing if input.is_empty() || taken == 0 => return Ok(()),
                Read::Nothing => {}
                Read::Failed(Failure::CLOSED) => {
                    if let State::Open(identity) = &self.state {
                        self.state = State::Closed(identity.clone());
                    }
                    return Ok(());
                }
                Read::Failed(Failure::ALERT) => return Err(StreamError::Alert(self.context.alert())),
                Read::Failed(failure) => return Err(StreamError::Malformed(failure.to_string())),
            }
        }
    }
}

impl StreamSession for MbedStream {
    fn receive(&mut self, ciphertext: &[u8]) -> Result<(), StreamError> {
        match &self.state {
            State::Failed(error) => return Err(error.clone()),
            State::Closed(_) => return Ok(()),
            State::Handshaking | State::Open(_) => {}
        }
        let taken = self.take(ciphertext);
        if let Err(error) = &taken {
            self.state = State::Failed(error.clone());
        }
        taken
    }

    fn read(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.plaintext);
    }

    fn write(&mut self, plaintext: &[u8]) -> Result<(), StreamError> {
        if !matches!(self.state, State::Open(_)) {
            return Ok(());
        }
        let now = Instant::now();
        for record in plaintext.chunks(LONGEST_OUT) {
            let written = self.context.write(record, now, &mut self.output);
            if let Err(failure) = written {
                let error = StreamError::Malformed(failure.to_string());
                self.state = State::Failed(error.clone());
                return Err(error);
            }
        }
        Ok(())
    }

    fn take_output(&mut self) -> Vec<u8> {
        let mut output = std::mem::take(&mut self.output).into_iter();
        let first = output.next().unwrap_or_default();
        output.fold(first, |mut all, more| {
            all.extend(more);
            all
        })
    }

    fn is_handshaking(&self) -> bool {
        matches!(self.state, State::Handshaking)
    }

    fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed(_))
    }

    fn identity(&self) -> Option<Identity> {
        match &self.state {
            State::Open(identity) | State::Closed(identity) => Some(identity.clone()),
            State::Handshaking | State::Failed(_) => None,
        }
    }

    fn close(&mut self) {
        if matches!(self.state, State::Open(_) | State::Closed(_)) {
            self.context.close(Instant::now(), &mut self.output);
            self.state = State::Failed(StreamError::Refused(Refusal::Alert(0)));
        }
    }
}

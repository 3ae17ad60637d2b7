//! What a DTLS engine does and tells, without the engine.
//!
//! An [`Engine`] holds all DTLS sessions of one socket and performs no I/O: datagrams and the time go in; datagrams
//! and [`SessionEvent`]s come out, in [`Effects`]. A [`StreamSession`] is the same for TLS with pre-shared keys on a
//! byte stream. Whoever runs sockets gets both from an [`EngineFactory`], so that it depends on no cryptography.

mod engine;
mod event;
mod identity;
mod input;
mod key;
mod saved;
mod settings;
mod stream;

pub use engine::{Counts, Engine, EngineError, EngineFactory, SessionId};
pub use event::{Effects, Ending, Refusal, SessionEvent};
pub use identity::{Identity, Proof};
pub use input::Input;
pub use key::{Key, Keys};
pub use saved::SavedSession;
pub use settings::{Certificate, ClientCertificate, Retransmission, ServerNames, Settings};
pub use stream::{StreamAcceptor, StreamError, StreamSession};

//! Records by key that survive kill -9 and power loss.
//!
//! A [`Store`] is a folder with a few [`Space`]s in it, each an ordered map from bytes to bytes. A [`Batch`] changes
//! several spaces at once or not at all. Its [`Commit`] resolves once the batch is on the disk; all batches
//! that wait share one sync. Reads see only what is on the disk.
//!
//! The disk is not trusted: what it says is verified when the store is opened and when a record is read, and a
//! record that was acknowledged is never given back changed, and never left out without an error. A write that
//! fails is final: nothing more is written until the store is opened anew.

mod batch;
mod commit;
mod engine;
mod error;
mod record;
mod snapshot;
mod store;
mod writer;

pub use batch::Batch;
pub use commit::Commit;
pub use error::StoreError;
pub use snapshot::{Records, Snapshot};
pub use store::{Config, Space, Store};

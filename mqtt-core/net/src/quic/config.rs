use std::sync::Arc;
use std::time::Duration;

use bus::units;
use quinn::{IdleTimeout, TransportConfig, VarInt};
use serde::{Deserialize, Serialize};
use tls::EarlyData;

/// What QUIC offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuicConfig {
    /// How many streams a connection may have open, the control stream included.
    pub streams: u16,
    /// How long a peer may be unreachable that is not asked by a keep alive of MQTT; it is asked three times.
    #[serde(with = "units::duration")]
    pub idle_timeout: Duration,
    /// Whether a client that comes back may send before the handshake is complete (0-RTT).
    pub early_data: bool,
}

/// What may be received and not taken yet of one connection before its session is open; and after.
const WINDOW_BEFORE: u32 = 128 * 1024;
pub(super) const WINDOW: u32 = 1024 * 1024;

/// The same for one stream.
const STREAM_WINDOW: u32 = 512 * 1024;

/// What may be sent and not acknowledged yet.
const SEND_WINDOW: u64 = 1024 * 1024;

impl QuicConfig {
    pub(crate) fn early(&self) -> EarlyData {
        if self.early_data { EarlyData::Accept } else { EarlyData::Refuse }
    }

    pub(super) fn transport(&self) -> Arc<TransportConfig> {
        let mut transport = TransportConfig::default();
        transport.max_concurrent_bidi_streams(VarInt::from(self.streams.max(1)));
        transport.max_concurrent_uni_streams(VarInt::from(0_u8));
        transport.datagram_receive_buffer_size(None);
        transport.receive_window(VarInt::from(WINDOW_BEFORE));
        transport.stream_receive_window(VarInt::from(STREAM_WINDOW));
        transport.send_window(SEND_WINDOW);
        transport.max_idle_timeout(IdleTimeout::try_from(self.idle_timeout).ok());
        transport.keep_alive_interval(Some(self.idle_timeout / 3).filter(|span| !span.is_zero()));
        Arc::new(transport)
    }
}

impl Default for QuicConfig {
    fn default() -> Self {
        Self { streams: 64, idle_timeout: Duration::from_secs(300), early_data: true }
    }
}

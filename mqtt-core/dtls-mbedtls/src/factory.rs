use std::time::Instant;

use dtls::{Engine, EngineError, EngineFactory, Settings, StreamAcceptor};

use crate::engine::MbedEngine;
use crate::stream::MbedAcceptor;

/// Makes engines of Mbed TLS.
#[derive(Clone, Copy, Debug, Default)]
pub struct MbedTls;

impl EngineFactory for MbedTls {
    fn engine(&self, settings: &Settings) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(MbedEngine::new(settings, Instant::now())?))
    }

    fn stream(&self, settings: &Settings) -> Result<Box<dyn StreamAcceptor>, EngineError> {
        Ok(Box::new(MbedAcceptor::new(settings)?))
    }
}

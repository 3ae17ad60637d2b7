use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

/// The other end of a connection: somebody's client.
pub trait Device {
    /// The network is there, for the first time or again.
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>);

    /// Something arrived: a datagram, or a piece of the stream.
    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>);

    /// Its deadline has passed.
    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>);

    /// When it wants to be woken.
    fn deadline(&self) -> Option<Instant>;

    /// The stream was cut; it will be started again.
    fn cut(&mut self) {}
}

/// A device that the test keeps looking at while the world moves it.
pub type Shared<D> = Rc<RefCell<D>>;

impl<D: Device> Device for Shared<D> {
    fn start(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.borrow_mut().start(now, send);
    }

    fn receive(&mut self, bytes: &[u8], now: Instant, send: &mut Vec<Vec<u8>>) {
        self.borrow_mut().receive(bytes, now, send);
    }

    fn wake(&mut self, now: Instant, send: &mut Vec<Vec<u8>>) {
        self.borrow_mut().wake(now, send);
    }

    fn deadline(&self) -> Option<Instant> {
        self.borrow().deadline()
    }

    fn cut(&mut self) {
        self.borrow_mut().cut();
    }
}

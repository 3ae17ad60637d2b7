use std::future::Future;
use std::pin::Pin;

/// A result that is there at once, or comes later.
pub enum Answer<T> {
    /// It is there; nothing was allocated and nobody has to wait.
    Now(T),
    /// It comes.
    Later(Later<T>),
}

/// A result that is on its way.
pub type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<T: Send + 'static> Answer<T> {
    /// A result that `future` will bring.
    pub fn later(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }

    /// Applies `f` to the result, now or when it comes.
    pub fn map<U: Send + 'static>(self, f: impl FnOnce(T) -> U + Send + 'static) -> Answer<U> {
        match self {
            Self::Now(value) => Answer::Now(f(value)),
            Self::Later(future) => Answer::later(async move { f(future.await) }),
        }
    }

    /// Goes on with `f`, which may take its time too.
    pub fn then<U: Send + 'static>(self, f: impl FnOnce(T) -> Answer<U> + Send + 'static) -> Answer<U> {
        match self {
            Self::Now(value) => f(value),
            Self::Later(future) => Answer::later(async move { f(future.await).finish().await }),
        }
    }

    /// All results in order; there at once if each is.
    pub fn all(answers: Vec<Self>) -> Answer<Vec<T>> {
        if answers.iter().all(|answer| matches!(answer, Self::Now(_))) {
            let now = |answer| match answer {
                Self::Now(value) => Some(value),
                Self::Later(_) => None,
            };
            return Answer::Now(answers.into_iter().filter_map(now).collect());
        }
        Answer::later(async move {
            let mut values = Vec::with_capacity(answers.len());
            for answer in answers {
                values.push(answer.finish().await);
            }
            values
        })
    }

    /// Waits for the result.
    pub async fn finish(self) -> T {
        match self {
            Self::Now(value) => value,
            Self::Later(future) => future.await,
        }
    }
}

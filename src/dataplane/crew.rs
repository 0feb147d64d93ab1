//! Threads that are started before their trial is: one that cannot have them is refused with the
//! reason, and not found out when its streams are opened.

use super::spawn;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// What a thread is hired for.
type Job = Box<dyn FnOnce() + Send>;

/// Starts a thread of this name.
pub(super) type Start = fn(String, Job) -> io::Result<()>;

/// How many streams of load may run at once: each has a thread and a descriptor.
#[derive(Debug)]
pub struct Pool {
    max: usize,
    taken: AtomicUsize,
    start: Start,
}

/// Why there are not enough.
#[derive(Debug, thiserror::Error)]
pub enum Shortage {
    /// Of descriptors.
    #[error(
        "it may have descriptors for {free} more streams of load, {asked} were asked for. Ask for \
         fewer streams, try again later, or have its operator raise the limit of open files \
         (ulimit -n, LimitNOFILE=)"
    )]
    Descriptors {
        /// Streams that were asked for.
        asked: usize,
        /// Streams that there is room for.
        free: usize,
    },
    /// Of threads.
    #[error(
        "it cannot start the {asked} threads that the streams need: {error}. Ask for fewer \
         streams, or have its operator raise the limit of processes (ulimit -u, TasksMax=)"
    )]
    Threads {
        /// Streams that were asked for.
        asked: usize,
        /// What the system says.
        error: io::Error,
    },
}

impl Pool {
    /// One for `max` streams at once.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Self::starting(max, spawn)
    }

    fn starting(max: usize, start: Start) -> Arc<Self> {
        Arc::new(Self { max, taken: AtomicUsize::new(0), start })
    }

    /// Threads for `streams` streams, which wait until they are put to work.
    ///
    /// # Errors
    ///
    /// There are not enough; then none is kept.
    pub fn hire(self: &Arc<Self>, streams: usize) -> Result<Crew, Shortage> {
        let mut idle = Vec::with_capacity(streams.min(self.max));
        for hired in 0..streams {
            let Some(place) = self.place() else {
                return Err(Shortage::Descriptors { asked: streams, free: hired });
            };
            let (job, waits) = channel::<Job>();
            let wait = move || {
                let _place = place;
                // Dropped, its trial has no need of it.
                if let Ok(job) = waits.recv() {
                    job();
                }
            };
            (self.start)("stream".into(), Box::new(wait))
                .map_err(|error| Shortage::Threads { asked: streams, error })?;
            idle.push(job);
        }
        Ok(Crew { idle: Mutex::new(idle) })
    }

    fn place(self: &Arc<Self>) -> Option<Place> {
        let more = |taken| (taken < self.max).then_some(taken + 1);
        let taken = self.taken.fetch_update(Relaxed, Relaxed, more);
        taken.is_ok().then(|| Place(Arc::clone(self)))
    }
}

/// The place of a stream; dropped, it is free.
struct Place(Arc<Pool>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}

/// Threads that wait; dropped, those that still do end.
#[derive(Debug)]
pub struct Crew {
    idle: Mutex<Vec<Sender<Job>>>,
}

impl Crew {
    /// Has one of them do `job`; false where none waits any more.
    pub(super) fn put_to_work(&self, job: impl FnOnce() + Send + 'static) -> bool {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.pop().is_some_and(|thread| thread.send(Box::new(job)).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for what a thread does when it ends.
    #[track_caller]
    fn await_taken(pool: &Pool, taken: usize) {
        let until = crate::io::clock::now::<crate::clock::Agent>().after_nanos(10_000_000_000);
        while pool.taken.load(Relaxed) != taken {
            assert!(crate::io::clock::now() < until, "places are not given back");
            crate::io::clock::wait_until(
                crate::io::clock::now::<crate::clock::Agent>().after_nanos(1_000_000),
                0,
            );
        }
    }

    #[test]
    fn a_crew_works_and_its_places_are_free_behind_it() {
        let pool = Pool::new(2);
        let crew = pool.hire(2).expect("room");
        let short = pool.hire(1).expect_err("2 are taken");
        assert!(
            short.to_string().contains("for 0 more streams of load, 1 were asked for"),
            "{short}"
        );
        let (sender, receiver) = channel();
        assert!(crew.put_to_work(move || _ = sender.send(7)));
        assert_eq!(receiver.recv(), Ok(7));
        await_taken(&pool, 1);
        drop(crew);
        await_taken(&pool, 0);
    }

    /// The first release found it out when a stream was opened, and the trial was never accounted.
    #[test]
    fn what_lacks_a_thread_is_refused_and_keeps_none() {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        let pool = Pool::starting(64, |name, job| match STARTED.fetch_add(1, Relaxed) {
            0..3 => spawn(name, job),
            _ => Err(io::Error::from_raw_os_error(libc_eagain())),
        });
        let short = pool.hire(8).expect_err("3 are all").to_string();
        assert!(
            short.contains("cannot start the 8 threads") && short.contains("ulimit -u"),
            "{short}"
        );
        await_taken(&pool, 0);
    }

    /// EAGAIN, which Linux says of threads beyond a limit.
    const fn libc_eagain() -> i32 {
        11
    }
}

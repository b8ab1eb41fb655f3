//! The thread that compiles components.
//!
//! Compiling takes tens of milliseconds to seconds of CPU and tens of megabytes of memory. One
//! thread does all of it, one component after another, behind everything else that wants the
//! CPU; and what its allocator keeps for reuse is kept once, not by each thread that ever
//! compiled.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;

use parking_lot::Mutex;
use wasmtime::Engine;
use wasmtime::component::Component;

/// How far behind other threads it stands (`nice`, from 0 to 19).
const NICENESS: i32 = 10;

pub(crate) type Compilation = Result<Component, wasmtime::Error>;

struct Job {
    component: Vec<u8>,
    done: mpsc::SyncSender<Compilation>,
}

/// Hands components to the thread, which ends when this goes.
pub(crate) struct Compiler {
    jobs: Mutex<mpsc::Sender<Job>>,
}

impl Compiler {
    pub(crate) fn start(engine: Engine) -> Result<Self, std::io::Error> {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("policy-compiler".to_owned())
            .spawn(move || {
                // On Linux this is the thread's own. Refused, it is as urgent as others.
                let _ = rustix::process::nice(NICENESS);
                for Job { component, done } in queue {
                    let compile = || Component::from_binary(&engine, &component);
                    let compiled = catch_unwind(AssertUnwindSafe(compile))
                        .unwrap_or_else(|_| Err(wasmtime::Error::msg("the compiler panicked")));
                    // Who asked may have gone.
                    let _ = done.send(compiled);
                }
            })?;
        Ok(Self {
            jobs: Mutex::new(jobs),
        })
    }

    /// Compiles, after all that was asked for before. Blocks meanwhile.
    pub(crate) fn compile(&self, component: &[u8]) -> Compilation {
        let (done, compiled) = mpsc::sync_channel(1);
        let job = Job {
            component: component.to_vec(),
            done,
        };
        let gone = || wasmtime::Error::msg("the thread that compiles has ended");
        self.jobs.lock().send(job).map_err(|_| gone())?;
        compiled.recv().map_err(|_| gone())?
    }
}

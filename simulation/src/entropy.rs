//! The one thing that a seed cannot reach by arguments: hash maps draw their order from the system.
//! Here `getrandom(2)` of the C library is answered from the seed, thread by thread, so that
//! everything in a world, the libraries' hash maps among it, happens again for the same seed.

use std::cell::Cell;
use std::ffi::{c_uint, c_void};

use crate::dice::Dice;

thread_local! {
    static LOADED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on this thread draws from a seed. Each world has a thread of its own.
pub fn load(seed: u64) {
    LOADED.set(Some(seed));
    // Of its own accord it looks at the time, too.
    fastrand::seed(seed);
}

/// Stands in for the C library's.
///
/// # Safety
///
/// As `getrandom(2)`: `buffer` has room for `length` bytes.
#[expect(unsafe_code, reason = "the C library's function is answered here, which takes a pointer")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut c_void, length: usize, flags: c_uint) -> isize {
    match LOADED.get() {
        None => {
            // SAFETY: the arguments are the caller's own, for the function that it means.
            let drawn = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
            drawn.try_into().unwrap_or(-1)
        }
        Some(seed) => {
            let mut dice = Dice::new(seed);
            // SAFETY: the caller promises as many bytes as this.
            let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
            dice.fill(bytes);
            LOADED.set(Some(dice.draw()));
            length.try_into().unwrap_or(-1)
        }
    }
}

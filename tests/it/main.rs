//! Tests of linkqual as a whole; what one function claims is tested beside it in `src`.

mod tidy;

//! The binary: hands its arguments to the command line and exits with its answer.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    tambour::cli::main()
}

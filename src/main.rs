//! The binary: hands its arguments to the command line and exits with its answer.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    tambour::cli::main()
}

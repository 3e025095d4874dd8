//! The binary: hands its arguments to the command line and exits with its answer.

fn main() -> std::process::ExitCode {
    tambour::cli::main()
}

// node wasi.mjs PROGRAM.wasm: runs a C program, which finds its files in the current folder; ends
// with main's status.
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";

const wasi = new WASI({ version: "preview1", preopens: { ".": "." }, returnOnExit: true });
const imports = { wasi_snapshot_preview1: wasi.wasiImport };
const { instance } = await WebAssembly.instantiate(readFileSync(process.argv[2]), imports);
process.exitCode = wasi.start(instance);

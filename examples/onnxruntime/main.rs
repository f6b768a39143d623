//! Samples clothes with examples/fashion/clothes.onnx on ONNX Runtime. vesde works on the memory
//! of the tensors that are bound as the network's inputs and output: nothing is copied between
//! them.
//!
//!     clothes-onnxruntime LIBRARY clothes.onnx OUTPUT.png
//!
//! The clothes are those of the C++ programs with `--columns 2 --evaluations 10`.

use std::error::Error;
use std::fs::File;
use std::time::Instant;

use ort::memory::Allocator;
use ort::session::Session;
use ort::value::Tensor;
use vesde::{
    Buffers, Config, Method, Prediction, Request, Sampler, SamplerOptions, Schedule, set_karras_sigmas,
};

const SIDE: usize = 28;
const CLASSES: usize = 10;
const COLUMNS: usize = 2;
const PICTURES: usize = CLASSES * COLUMNS;
const EVALUATIONS: usize = 10;
const THREADS: usize = 2;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, model, output] = &arguments[..] else {
        return Err("LIBRARY clothes.onnx OUTPUT.png".into());
    };
    let environment = ort::init_from(library)?.build()?;
    let mut session = Session::builder(&environment)?.with_intra_threads(THREADS)?.commit_from_file(model)?;

    // Their memory is the program's to read and write between runs.
    let tensor = |shape: &[usize]| Tensor::<f32>::new(&Allocator::default(), shape);
    let mut x = tensor(&[PICTURES, 1, SIDE, SIDE])?;
    let mut sigmas = tensor(&[PICTURES])?;
    let mut classes = tensor(&[PICTURES, CLASSES])?;
    let mut denoised = tensor(&[PICTURES, 1, SIDE, SIDE])?;
    let one_hot = classes.extract_tensor_mut().1;
    one_hot.fill(0.0);
    for i in 0..PICTURES {
        one_hot[i * CLASSES + i / COLUMNS] = 1.0;
    }
    // Bound once: what a run reads is what is in them then.
    let mut binding = session.create_binding()?;
    binding.bind_input("x", &x)?;
    binding.bind_input("sigma", &sigmas)?;
    binding.bind_input("classes", &classes)?;
    binding.bind_output("denoised", &mut denoised)?;

    let config = Config::from_json(include_bytes!("../fashion/scheduler_config.json"))?;
    let mut along = [0.0; EVALUATIONS + 1]; // the last is 0: the denoised pictures
    set_karras_sigmas(config.sigma_min, config.sigma_max, 7.0, &mut along[..EVALUATIONS])?;
    let schedule = Schedule { timesteps: &[], sigmas: &along, discrete_sigmas: &[] };
    let options = SamplerOptions {
        seed: 42,
        method: Method::Dpmpp2m,
        eta: 1.0,
        prediction: Prediction::Denoised,
        ..SamplerOptions::default()
    };
    let mut sampler = Sampler::new(&config, PICTURES, options)?;
    let mut history = vec![0.0; sampler.workspace_len(PICTURES * SIDE * SIDE)?];

    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    loop {
        let start = Instant::now();
        let buffers = Buffers::new(x.extract_tensor_mut().1, denoised.extract_tensor().1);
        let request = sampler.next(&schedule, buffers.with_workspace(&mut history))?;
        ours.push(start.elapsed().as_secs_f64() * 1e3);
        let Request::Score { sigma, .. } = request else { break };

        sigmas.extract_tensor_mut().1.fill(sigma);
        let start = Instant::now();
        let outputs = session.run_binding(&binding)?;
        theirs.push(start.elapsed().as_secs_f64() * 1e3);
        let made = outputs["denoised"].try_extract_tensor::<f32>()?.1.as_ptr();
        assert_eq!(made, denoised.extract_tensor().1.as_ptr(), "the output is another tensor");
    }
    let (theirs, ours) = (median(theirs), median(ours));
    let share = 100.0 * ours / (ours + theirs);
    println!("the network takes {theirs:.3} ms, vesde {ours:.3} ms: {share:.2} %");
    write_png(output, x.extract_tensor().1)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Writes the pictures as the C++ programs do: examples/digits/picture.h.
fn write_png(path: &str, pictures: &[f32]) -> Result<(), Box<dyn Error>> {
    const SCALE: usize = 3;
    const GAP: usize = 8;
    const TILE: usize = SIDE * SCALE + GAP;
    const WIDTH: usize = COLUMNS * TILE + GAP;
    const HEIGHT: usize = CLASSES * TILE + GAP;
    let mut pixels = vec![64; WIDTH * HEIGHT];
    for (i, picture) in pictures.chunks_exact(SIDE * SIDE).enumerate() {
        let (left, top) = (GAP + i % COLUMNS * TILE, GAP + i / COLUMNS * TILE);
        for y in 0..SIDE * SCALE {
            for x in 0..SIDE * SCALE {
                let value = picture[y / SCALE * SIDE + x / SCALE];
                pixels[(top + y) * WIDTH + left + x] = (value * 255.0 + 0.5) as u8;
            }
        }
    }
    let mut encoder = png::Encoder::new(File::create(path)?, WIDTH as u32, HEIGHT as u32);
    encoder.set_filter(png::Filter::NoFilter); // as compare.py reads them
    Ok(encoder.write_header()?.write_image_data(&pixels)?)
}

// Records a memo in the browser and puts it into the form's list of recordings; `try.js` sends them. Every state has its
// paragraph in the page, written by the server in the viewer's language: this module shows the one that is true now.
const box = document.getElementById("recorder");
const { shortest, longest } = { shortest: Number(box.dataset.shortestS), longest: Number(box.dataset.longestS) };
const [start, stop] = ["record-start", "record-stop"].map((id) => document.getElementById(id));
const time = document.getElementById("record-time");
const meter = document.getElementById("record-level");
const heard = document.getElementById("record-heard");
const playback = document.getElementById("record-playback");
const still = matchMedia("(prefers-reduced-motion: reduce)");

// Uncompressed where the browser can: compression moves the finest measures of a voice.
const KINDS = ["audio/webm;codecs=pcm", "audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"];
const SUFFIXES = { "audio/webm": "webm", "audio/mp4": "m4a", "audio/ogg": "ogg" };
const BITS_PER_SECOND = 128000; // of compressed sound
const AS_SPOKEN = { echoCancellation: false, noiseSuppression: false, autoGainControl: false, channelCount: 1 };
const QUIET = 0.01; // root mean square of samples from -1 to 1
const PIECE_MS = 1000;

/** The recording that is ready, or null; the event `recording` on the document says that it is another. */
export let recording = null;

let session = null;

function show(state) {
  box.dataset.state = state;
  for (const each of box.querySelectorAll("[data-when]")) {
    each.hidden = !each.dataset.when.split(" ").includes(state);
  }
}

function offer(file) {
  recording = file;
  if (playback.src) URL.revokeObjectURL(playback.src);
  if (file) playback.src = URL.createObjectURL(file);
  else playback.removeAttribute("src");
  document.dispatchEvent(new CustomEvent("recording"));
}

/** Why recording is impossible here, or "" when it is not. */
function lacking() {
  if (!window.isSecureContext) return "insecure";
  if (!navigator.mediaDevices?.getUserMedia || !window.MediaRecorder) return "unsupported";
  return "";
}

async function record() {
  offer(null);
  show("asking");
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ audio: AS_SPOKEN });
  } catch (error) {
    show({ NotAllowedError: "refused", SecurityError: "refused", NotFoundError: "absent" }[error.name] ?? "unavailable");
    start.focus();
    return;
  }
  const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
  const recorder = new MediaRecorder(stream, { mimeType, audioBitsPerSecond: BITS_PER_SECOND });
  session = { stream, recorder, pieces: [], began: performance.now(), full: false, frame: 0, clock: 0, audio: null };
  recorder.addEventListener("dataavailable", (event) => session.pieces.push(event.data));
  recorder.addEventListener("stop", finish);
  // A microphone that is unplugged ends what was recorded so far; nothing of it is lost.
  stream.getAudioTracks()[0].addEventListener("ended", halt);
  recorder.start(PIECE_MS);
  show("recording");
  stop.focus();
  tick();
  session.clock = setInterval(tick, 250);
  listen(stream);
}

function elapsed() {
  return (performance.now() - session.began) / 1000;
}

function tick() {
  const seconds = elapsed();
  time.textContent = `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  if (seconds >= longest) {
    session.full = true;
    halt();
  }
}

/** The level of the voice: a bar that moves, or, for those who prefer no motion, words that change at most once a second. */
function listen(stream) {
  session.audio = new AudioContext();
  const analyser = session.audio.createAnalyser();
  analyser.fftSize = 2048;
  session.audio.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let said = 0;
  const look = (now) => {
    if (session === null) return;
    analyser.getFloatTimeDomainData(samples);
    const level = Math.sqrt(samples.reduce((sum, each) => sum + each * each, 0) / samples.length);
    meter.hidden = still.matches;
    if (!still.matches) meter.value = Math.min(1, Math.max(0, 1 + Math.log10(level + 1e-6) / 2.5));
    if (now - said >= 1000) {
      said = now;
      heard.textContent = level >= QUIET ? heard.dataset.heard : heard.dataset.quiet;
    }
    session.frame = requestAnimationFrame(look);
  };
  session.frame = requestAnimationFrame(look);
}

function halt() {
  if (session?.recorder.state === "recording") session.recorder.stop();
}

function finish() {
  const { stream, recorder, pieces, frame, clock, audio, full } = session;
  const seconds = elapsed();
  session = null;
  clearInterval(clock);
  cancelAnimationFrame(frame);
  audio?.close();
  for (const track of stream.getTracks()) track.stop();
  if (seconds < shortest) {
    show("short");
  } else {
    const kind = (recorder.mimeType || pieces[0]?.type || "audio/webm").split(";")[0];
    offer(new File(pieces, `recording.${SUFFIXES[kind] ?? "webm"}`, { type: kind, lastModified: Date.now() }));
    show(full ? "long" : "stopped");
  }
  start.focus();
}

box.hidden = false;
show(lacking() || "idle");
start.addEventListener("click", record);
stop.addEventListener("click", halt);
window.addEventListener("pagehide", halt);

// What browser.e2e-spec.ts asks of the page. Each function resolves to plain data.

const video = document.createElement('video');
// With it the page may read the pixels too, so that loading needs the bucket's CORS rule.
video.crossOrigin = 'anonymous';
video.width = 640;
const link = document.createElement('a');
document.body.append(video, link);

const event = (name) => new Promise((resolve) => video.addEventListener(name, resolve, { once: true }));

/** Gives the element its source; says what it learnt of the video, or that it cannot play. */
async function load(url) {
  const outcome = Promise.race([event('loadeddata'), event('error')]);
  video.src = url;
  const { type } = await outcome;
  if (type === 'error') return { error: video.error.code };
  const { duration, videoWidth, videoHeight } = video;
  return { duration, videoWidth, videoHeight };
}

/** Plays until the element's clock has passed `seconds`. */
async function playPast(seconds) {
  await video.play();
  while (video.currentTime <= seconds) await event('timeupdate');
}

async function seekTo(seconds) {
  const seeked = event('seeked');
  video.currentTime = seconds;
  await seeked;
}

async function playToEnd() {
  const ended = event('ended');
  await video.play();
  await ended;
  return video.currentTime;
}

/** Colours of the picture that is shown now, and a number that changes with the picture. */
function look() {
  const canvas = document.createElement('canvas');
  canvas.width = 64;
  canvas.height = 36;
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const pixels = new Uint32Array(data.buffer);
  return { colours: new Set(pixels).size, sum: pixels.reduce((sum, pixel) => (sum * 31 + pixel) % 0xffffffff, 0) };
}

/** Reads the whole answer: its SHA-256 in hex, and those of the headers that the browser shows to the page. */
async function read(url) {
  const response = await fetch(url);
  const digest = await crypto.subtle.digest('SHA-256', await response.arrayBuffer());
  return {
    status: response.status,
    sha256: [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join(''),
    headers: Object.fromEntries(response.headers),
  };
}

/** Shows `url` to a person as a link, and clicks it. */
function follow(url) {
  link.href = url;
  link.click();
}

Object.assign(globalThis, { load, playPast, seekTo, playToEnd, look, read, follow });

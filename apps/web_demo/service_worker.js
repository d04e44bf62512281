// Keeps what the page has loaded, so that it works without a network. The network comes first: a new model counts at once.
const CACHE = 'dermedge';

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));

async function fresh(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(request, answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match(request, {ignoreVary: true});
    if (kept) return kept;
    throw error;
  }
}

self.addEventListener('fetch', (event) => {
  const mine = new URL(event.request.url).origin === self.location.origin;
  if (mine && event.request.method === 'GET') event.respondWith(fresh(event.request));
});

// What the page loaded before this worker was there; it answers when all of it is kept.
self.addEventListener('message', (event) => {
  const keep = async () => {
    const cache = await caches.open(CACHE);
    for (const address of event.data) if (!(await cache.match(address))) await cache.add(address);
    event.source.postMessage('kept');
  };
  event.waitUntil(keep());
});

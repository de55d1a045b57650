// Preloaded into the worker: ends it when the process that started it is gone. A kill -9 of `npm start` can't tell the
// worker anything, and the worker would go on without a front; its parent is then another process.
const parent = process.ppid
const lookEvery = 500

setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM')
}, lookEvery).unref()

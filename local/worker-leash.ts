// Preloaded into the worker: ends it when its parent is gone, which a new parent id reveals. After a kill -9 of
// `npm start`, the worker would otherwise go on without a front.
const parent = process.ppid
const lookEvery = 500

setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGTERM')
}, lookEvery).unref()

// Runs before the programs that people start. Plain JavaScript, since an older Node.js must be able to read it.
const [major] = process.versions.node.split('.')
if (Number(major) < 24) {
  console.error(
    `Node.js must be 24 or newer, got ${process.version}: run npm ci again, without --ignore-scripts and ` +
      'NODE_ENV=production; it brings the right one'
  )
  process.exit(1)
}

const { parse } = require("dotenv");
process.stdout.write(JSON.stringify(parse(require("fs").readFileSync(process.argv[2]))));

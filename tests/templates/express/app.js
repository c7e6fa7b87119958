const express = require('express');

const app = express();
app.get('/', (request, response) => response.send({ version: process.env.GIT_SHA }));
app.listen(process.env.PORT || 3000);
